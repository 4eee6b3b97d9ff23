"""Find API keys in files, or in all that git knows: `python -m tools.secret_scan [file ...]`.

A notebook is read as the text that it is, so its outputs are scanned too. What is found is named by
kind and place, never printed. A line that must hold a made-up key says `pragma: allowlist secret`.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ALLOWED = "pragma: allowlist secret"

# A key's prefix may not continue a longer word, so that base64 in an image is no match.
_PATTERNS = {
    kind: re.compile(r"(?<![A-Za-z0-9+/_-])" + pattern)
    for kind, pattern in {
        "Anthropic key": r"sk-ant-[A-Za-z0-9_-]{20,}",
        "OpenAI key": r"sk-(?!ant-)[A-Za-z0-9_-]{20,}",
        "AWS key": r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9+/])",
        "Google key": r"AIza[A-Za-z0-9_-]{35}",
        "GitHub token": r"(?:gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50,})",
        "Hugging Face token": r"hf_[A-Za-z0-9]{30,}",
        "Slack token": r"xox[abprs]-[A-Za-z0-9-]{10,}",
        "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    }.items()
}
_KEY_VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")


def find_secrets(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line from 1, kind) for what has the form of a key, or is the value of one in use."""
    in_use = {f"value of ${name}": os.environ.get(name, "") for name in _KEY_VARIABLES}
    for number, line in enumerate(text.splitlines(), start=1):
        if ALLOWED not in line:
            kinds = [kind for kind, pattern in _PATTERNS.items() if pattern.search(line)]
            kinds += [kind for kind, key in in_use.items() if len(key) >= 12 and key in line]
            yield from ((number, kind) for kind in kinds)


def _files_known_to_git() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return [name for name in subprocess.check_output(command, text=True).split("\0") if name]


def main(names: Iterable[str]) -> int:
    found = [
        f"{name}:{number}: {kind}"
        for name in names
        if (path := Path(name)).is_file()
        for number, kind in find_secrets(path.read_text(encoding="utf-8", errors="replace"))
    ]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or _files_known_to_git()))

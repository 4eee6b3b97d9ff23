"""Find API keys in files, or in all that git knows: `python -m tools.secret_scan [file ...]`.

A notebook is read as the text that it is, so its outputs are scanned too. What is found is named by
kind and place, never printed. A line that must hold a made-up key says `pragma: allowlist secret`.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from workbench.redaction import KEYS, keys_in_use

ALLOWED = "pragma: allowlist secret"
# What its name gives away, in code, settings and headers; values without a digit are words, mostly.
_NAMED = re.compile(
    r"""(?i:password|passwd|secret\w*|api_?key|token|AccountKey|authorization)(?:\\?["'])?\s*[:=]\s*"""
    r"""(?:Bearer\s+)?(?:\\?["'])?(?=[A-Z0-9+/_-]*[a-z])(?=[a-zA-Z+/_-]*\d)[A-Za-z0-9+/_-]{12,}"""
    r"""|://[^\s/:@"']*:(?=[^\s/:@"']*\d)[^\s/:@"']{8,}@"""
)


def find_secrets(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line from 1, kind) for what has the form of a key, or is the value of one in use."""
    in_use = keys_in_use()
    for number, line in enumerate(text.splitlines(), start=1):
        if ALLOWED not in line:
            kinds = [kind for kind, pattern in KEYS.items() if pattern.search(line)]
            kinds += [] if kinds or not _NAMED.search(line) else ["value of a secret name"]
            kinds += [f"value of ${name}" for key, name in in_use.items() if key in line]
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

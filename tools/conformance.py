"""Run the SDKs' own tests against the simulated provider: `python -m tools.conformance`.

The official Python SDKs ship the tests of their API resources with their source distributions. They are
downloaded at the locked versions, and run as they are, none edited or deselected, against
`workbench serve`, in an environment of their own. The table says how many passed, file by file.
"""

import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".conformance"
LOCK = ROOT / "requirements.lock"
SCENARIO = "conformance"
TIMEOUT = 600  # seconds for one SDK's tests
# What the tests themselves import; the SDKs and pytest are the locked ones.
NEEDS = (
    "pytest",
    "pytest-asyncio",
    "pytest-xdist",
    "rich",
    "inline-snapshot",
    "dirty-equals",
    "time-machine",
    "aiohttp",
    "httpx-aiohttp",
    "respx",
    "http-snapshot[httpx]",
    "opentelemetry-sdk",
)


@dataclass(frozen=True)
class Suite:
    """Some of an SDK's tests: `path` is where its API begins, `addopts` what pytest needs to load them."""

    sdk: str
    path: str
    addopts: str
    files: tuple[str, ...]


SUITES = (
    Suite(
        "openai",
        "/v1",
        "",
        (
            "chat/test_completions.py",
            "chat/completions/test_messages.py",
            "test_embeddings.py",
            "test_models.py",
            "test_responses.py",
            "responses/test_input_items.py",
        ),
    ),
    Suite(
        "anthropic",
        "",
        "-p tests._alias_httpx",
        ("test_messages.py", "test_models.py", "messages/test_batches.py"),
    ),
)


def locked(package: str) -> str:
    """The version of `package` in requirements.lock, as a requirement."""
    match = re.search(rf"^{package}==\S+", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise SystemExit(f"requirements.lock names no version of {package}.")
    return match.group()


def run(*command: str | Path, **options: object) -> None:
    """Run a command; end with its error if it fails."""
    subprocess.run([str(part) for part in command], check=True, **options)  # type: ignore[call-overload]


def environment() -> Path:
    """The Python of an environment with what the tests need, made once."""
    python = FOLDER / "venv/bin/python"
    stamp = FOLDER / "venv/.stamp"
    wanted = "\n".join([*map(locked, ("openai", "anthropic", "httpx2")), *NEEDS])
    if not stamp.exists() or stamp.read_text() != wanted:
        run(sys.executable, "-m", "venv", "--clear", FOLDER / "venv")
        install = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python)
        run(*install, *wanted.splitlines())
        stamp.write_text(wanted)
    return python


def source(sdk: str) -> Path:
    """The SDK's source distribution, unpacked."""
    requirement = locked(sdk)
    folder = FOLDER / requirement.replace("==", "-")
    if not folder.exists():
        quiet = ("--quiet", "--disable-pip-version-check", "--dest", FOLDER)
        pip = (sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", sdk)
        run(*pip, *quiet, requirement)
        with tarfile.open(f"{folder}.tar.gz") as archive:
            archive.extractall(FOLDER, filter="data")
    return folder


@contextmanager
def server() -> Iterator[str]:
    """`workbench serve` on a free port; gives its address."""
    command = [sys.executable, "-m", "workbench", "serve", "--port", "0", "--scenario", SCENARIO]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if match := re.search(r"http://127\.0\.0\.1:\d+", line):
                    yield match.group()
                    break
            else:
                raise SystemExit(f"workbench serve ended with status {process.wait()}.")
        finally:
            process.terminate()
            process.communicate(timeout=30)


def results(suite: Suite, python: Path, address: str) -> Iterator[tuple[str, int, int, list[str]]]:
    """(file, passed, total, names of what did not pass) of each file of a suite."""
    folder, report = source(suite.sdk), FOLDER / f"{suite.sdk}.xml"
    report.unlink(missing_ok=True)
    files = [f"tests/api_resources/{name}" for name in suite.files]
    subprocess.run(
        [
            str(python),
            "-m",
            "pytest",
            "-q",
            "-n",
            "8",
            "-o",
            f"addopts={suite.addopts}",
            f"--junitxml={report}",
            *files,
        ],
        cwd=folder,
        env={"PATH": "", "TEST_API_BASE_URL": f"{address}{suite.path}", "LANG": "C.UTF-8"},
        stdout=(FOLDER / f"{suite.sdk}.log").open("w"),
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT,
        check=False,  # the report says what failed
    )
    cases = list(ElementTree.parse(report).iter("testcase"))
    for file in files:
        module = file.removesuffix(".py").replace("/", ".")
        own = [case for case in cases if f"{case.get('classname')}.".startswith(f"{module}.")]
        bad = [case for case in own if any(child.tag in ("failure", "error", "skipped") for child in case)]
        yield file, len(own) - len(bad), len(own), [f"{c.get('classname')}.{c.get('name')}" for c in bad]


def main() -> int:
    """Print the table; status 1 if any test did not pass."""
    FOLDER.mkdir(exist_ok=True)
    python, complete = environment(), True
    with server() as address:
        for suite in SUITES:
            print(f"{locked(suite.sdk).replace('==', ' ')}, scenario {SCENARIO!r}")
            for file, passed, total, missing in results(suite, python, address):
                print(f"  {file:<52} {passed:>4}/{total}")
                print("".join(f"    {name}\n" for name in missing), end="")
                complete = complete and bool(total) and passed == total
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())

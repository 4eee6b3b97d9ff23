"""Files of a notebook's own, and the tools that judge them: pytest, mypy, basedpyright.

Each runs as a program of its own on real files in a folder that lives as long as this process.  What it says
is given without paths, times and versions: the same files give the same text on every machine.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any

from workbench.errors import ConfigurationError

__all__ = ["Complaint", "TestRun", "run_pytest", "save", "typecheck"]

_PLUGINS = ("_hypothesis_pytestplugin", "pytest_recording.plugin")  # and no other that happens to be there
_WIDTH = 94  # columns of a notebook's page
# No key, and nothing by which a tool would know a CI and say more there.
_INHERITED = ("HOME", "LANG", "PATH", "PYTHONPATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "USERPROFILE")
_ENVIRONMENT = {
    "COLUMNS": str(_WIDTH),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTHONDONTWRITEBYTECODE": "1",  # a file that is changed within a second would be taken for the old one
}
_TIME = re.compile(r" in \d+\.\d+s( \(\d+:\d\d:\d\d\))?")


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="scratch-")


def save(name: str, text: str) -> Path:
    """Write a file into the scratch folder.

    Args:
        name: of the file, without folders.
        text: what it says.

    Raises:
        ConfigurationError: the name is none.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigurationError(f"a scratch file has a plain name such as 'test_it.py', got {name!r}")
    path = Path(_folder().name, name)
    path.write_text(text, encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True)
class TestRun:
    """What pytest said; `failed` are the names of the tests that failed or could not be run."""

    __test__ = False  # pytest would collect it

    output: str
    failed: tuple[str, ...]


def run_pytest(*options: str) -> TestRun:
    """Run pytest in the scratch folder, with its plugins for Hypothesis and for recording alone.

    Args:
        options: of pytest, the names of files among them.
    """
    plugins = [option for plugin in _PLUGINS for option in ("-p", plugin)]
    fixed = ("-q", "--color=no", "-p", "no:cacheprovider", "-rfE", "--tb=short", *plugins)
    said = _run("pytest", *fixed, *options)
    failed = re.findall(r"^(?:FAILED|ERROR) (?:\S+::)?(\S+)", said, re.MULTILINE)
    return TestRun(_TIME.sub("", said), tuple(failed))


@dataclass(frozen=True, order=True, slots=True)
class Complaint:
    """What a type checker has against a line of a source, counted from 1."""

    line: int
    tool: str
    message: str
    code: str


def typecheck(source: str) -> list[Complaint]:
    """What strict mypy, and basedpyright at its standard level, have against a module.

    Args:
        source: its text; what it imports must be installed here.
    """
    name = save("cell.py", source).name
    save("pyrightconfig.json", json.dumps({"typeCheckingMode": "standard"}))
    return sorted([*_mypy(name), *_pyright(name)])


def show(source: str, complaints: list[Complaint]) -> str:
    """The lines that something is said about, and what it is."""
    lines = source.splitlines()
    shown = []
    for line, about in groupby(complaints, key=lambda each: each.line):
        shown.append(f"{line:>3} | {lines[line - 1].strip()}")
        shown += [_wrapped(f"{each.tool}: {each.message}  [{each.code}]") for each in about]
    counts = (f"{tool}: {sum(c.tool == tool for c in complaints)}" for tool in ("mypy", "pyright"))
    return "\n".join([*shown, f"errors found by {', by '.join(counts)}"])


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8, break_on_hyphens=False
    )


def _mypy(name: str) -> Iterator[Complaint]:
    said = _run("mypy", "--strict", "--config-file=", "--output=json", name)
    for each in map(json.loads, filter(None, said.splitlines())):
        if each["severity"] == "error":
            yield Complaint(each["line"], "mypy", _line(each["message"], each["hint"]), each["code"])


def _pyright(name: str) -> Iterator[Complaint]:
    said = json.loads(_run("basedpyright", "--outputjson", f"--pythonpath={sys.executable}", name))
    for each in said["generalDiagnostics"]:
        if each["severity"] == "error":
            line = each["range"]["start"]["line"] + 1
            yield Complaint(
                line, "pyright", _line(*each["message"].splitlines()[:2]), each.get("rule", "syntax")
            )


def _line(*parts: Any) -> str:
    return " – ".join(part.strip() for part in parts if part)


def _run(tool: str, *arguments: str) -> str:
    """What a tool prints, without the folder's name.

    Raises:
        ConfigurationError: it is not installed, or could not do its work.
    """
    if find_spec(tool) is None:
        raise ConfigurationError(f"this needs {tool}: install it next to the workbench, pip install {tool}")
    folder = Path(_folder().name)
    command = [sys.executable, "-m", tool, *arguments]
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    ran = subprocess.run(
        command, cwd=folder, env=inherited | _ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if ran.returncode not in (0, 1) and not ran.stdout.strip():
        raise ConfigurationError(f"{tool} failed: {ran.stderr.strip() or ran.returncode}")
    return ran.stdout.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")

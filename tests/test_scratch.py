"""The tools that judge a notebook's own files, as they are."""

from __future__ import annotations

import re

import pytest

from workbench import scratch
from workbench.errors import ConfigurationError

WRONG = """\
# a cell
from typing import Literal

def ask(role: Literal["user", "assistant"]) -> int:
    return len(role)

ask("usr")
ask("user").upper()
"""
TESTS = """\
import os, pytest
from feature import double

@pytest.mark.parametrize("number", [1, 2])
def test_double(number):
    assert double(number) == 2 * number

def test_where():
    assert "PYTEST_ADDOPTS" not in os.environ
"""


def test_both_checkers_find_the_wrong_lines() -> None:
    """mypy and basedpyright each name the learner's own lines, and the text says nothing of the machine."""
    found = scratch.typecheck(WRONG)
    assert {(each.line, each.tool) for each in found} == {
        (line, tool) for line in (7, 8) for tool in ("mypy", "pyright")
    }
    shown = scratch.show(WRONG, found)
    assert '  7 | ask("usr")\n    mypy: Argument 1 to "ask" has incompatible type' in shown
    assert shown.endswith("errors found by mypy: 2, by pyright: 2")
    assert "/" not in shown


def test_what_is_right_has_no_complaint() -> None:
    """A right module, here an empty one, gives a line that says so."""
    assert scratch.show("", scratch.typecheck("")) == "errors found by mypy: 0, by pyright: 0"


def test_what_is_no_python_is_a_complaint_too() -> None:
    """A syntax error is shown at its line by both."""
    assert {(each.line, each.tool) for each in scratch.typecheck("x = 1\ndef (:\n")} >= {
        (2, "mypy"),
        (2, "pyright"),
    }


def test_files_and_their_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests import what was saved beside them; the environment's options for pytest do not reach them."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "--nonsense")
    scratch.save("feature.py", "def double(number):\n    return 2 * number\n")
    scratch.save("test_feature.py", TESTS)
    run = scratch.run_pytest("test_feature.py")
    assert run.failed == ()
    assert run.output.endswith("3 passed\n")


def test_failures_are_named() -> None:
    """Failed tests, and modules that could not be imported, are named; the text has no paths."""
    scratch.save("feature.py", "def double(number):\n    return 2 + number\n")
    scratch.save("test_feature.py", TESTS)
    scratch.save("test_broken.py", "import nothing_of_that_name\n")
    run = scratch.run_pytest("test_feature.py", "test_broken.py", "--continue-on-collection-errors")
    assert run.failed == ("test_double[1]", "test_broken.py")
    assert "/tmp" not in run.output
    assert not re.search(r"\d\.\d+s", run.output)


def test_what_cannot_be_done_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in place of a name, a wrong option and a tool that is not there are our own error."""
    with pytest.raises(ConfigurationError, match=r"got '\.\./x\.py'"):
        scratch.save("../x.py", "")
    with pytest.raises(ConfigurationError, match="unrecognized arguments: --nonsense"):
        scratch.run_pytest("--nonsense")
    monkeypatch.setattr(scratch, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="pip install mypy"):
        scratch.typecheck("")

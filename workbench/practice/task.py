"""A task that somebody works on: its notebook or file, its checks, its hints, in the end its discussion."""

from __future__ import annotations

import ast
import functools
import json
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

from workbench import clock
from workbench.errors import ConfigurationError
from workbench.practice.exercise import Exercise
from workbench.practice.report import Report, check_program
from workbench.practice.sandbox import Sandbox
from workbench.practice.store import Store

__all__ = ["Markdown", "Task", "write_notebook", "write_program"]

sandbox = functools.cache(Sandbox)  # one for this process


_KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_HOW = "All of it in this cell: run it, then the next one, as often as you like."


class Markdown:
    """Text that a notebook shows as Markdown, and a terminal as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def _repr_markdown_(self) -> str:
        return self._text


class Task:
    """A task, open: in a notebook its display is the time that is left.

    Args:
        slug: of the exercise.
        store: what is kept of it; by default the user's own.
    """

    def __init__(self, slug: str, *, store: Store | None = None) -> None:
        self.exercise = Exercise.load(slug)
        self._store = store or Store()
        self._opening = self._store.open(slug, clock.date())
        sandbox().warm(self.exercise)

    def check(self, source: str | None = None) -> Report:
        """Judge a program, and keep the attempt.

        Args:
            source: of the program; None: in a notebook, the last cell that was run and defines what the task
                asks for.

        Raises:
            ConfigurationError: there is no such cell.
        """
        code = self._last_cell() if source is None else source
        report = check_program(self.exercise, code, sandbox())
        mistake = "" if report.passed else report.findings[0].name
        minutes = self.exercise.minutes
        now = clock.date()
        self._store.record(
            self.exercise.slug, code, passed=report.passed, mistake=mistake, now=now, minutes=minutes
        )
        return report

    def hint(self, number: int) -> Markdown:
        """A hint, from 1 to 3: each one that was seen takes 15 points from the score."""
        hints = self.exercise.hints()
        if not 1 <= number <= len(hints):
            raise ConfigurationError(f"there are hints 1 to {len(hints)}, got {number!r}")
        self._store.hint(self.exercise.slug, number, clock.date())
        return Markdown(hints[number - 1])

    def discussion(self) -> Markdown:
        """The solution and its trade-offs; seen before a program has passed, it ends the scoring."""
        self._store.reveal(self.exercise.slug, clock.date())
        solution = f"```python\n{self.exercise.text('solution.py')}```"
        taught = self.exercise.notebook
        link = f"\n\nThe notebook that teaches it: [{taught}](../{taught})." if taught else ""
        asked = "\n".join(f"* {question}" for question in self.exercise.follow_ups)
        said = self.exercise.text("discussion.md").strip()
        return Markdown(f"{solution}\n\n{said}\n\nWhat an interviewer asks next:\n\n{asked}{link}")

    def _last_cell(self) -> str:
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        cells = shell.user_ns["In"] if shell else []
        for cell in reversed(cells):
            if self.exercise.entry in _defined(cell):
                return str(cell)
        raise ConfigurationError(f"run the cell that defines {self.exercise.entry} first")

    def __repr__(self) -> str:
        return f"{self.exercise.title}: {self.exercise.minutes} minutes"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        from workbench.practice.countdown import Countdown

        session = self._store.session(clock.date())
        mine = self._opening.start + timedelta(minutes=self.exercise.minutes)
        end = min(mine, session.end) if session else mine
        display(Countdown(end, self.exercise.title))  # type: ignore[no-untyped-call]  # IPython


def _defined(cell: str) -> set[str]:
    try:
        body = ast.parse(cell).body
    except SyntaxError:
        return set()
    names = {getattr(node, "name", "") for node in body}
    return names | {
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def write_notebook(exercise: Exercise, folder: Path) -> Path:
    """Make a task's notebook, unless it is there: a learner's work is never overwritten."""
    code = f'from workbench.practice.task import Task\n\ntask = Task("{exercise.slug}")\ntask'
    hints = "## Hints\n\nEach takes 15 points. Take the `#` away and run the cell."
    cells = [
        ("markdown", f"# {exercise.title}\n\n*{exercise.minutes} minutes*\n\n{exercise.prompt}"),
        ("code", code),
        (
            "markdown",
            f"## Your solution\n\n{_HOW}",
        ),
        ("code", exercise.text("starter.py").strip()),
        ("code", "task.check()"),
        ("markdown", hints),
        *(("code", f"# task.hint({number})") for number in (1, 2, 3)),
        ("markdown", "## Discussion\n\nOnce yours is right, or if you give up."),
        ("code", "# task.discussion()"),
    ]
    notebook = {
        "cells": [_cell(number, kind, text) for number, (kind, text) in enumerate(cells)],
        "metadata": {"kernelspec": _KERNEL},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return _write_once(folder / f"{exercise.slug}.ipynb", json.dumps(notebook, indent=1) + "\n")


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    rest: dict[str, Any] = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text, **rest}


def write_program(exercise: Exercise, folder: Path) -> Path:
    """Make the file in which a task is solved with an editor, unless it is there."""
    prompt = textwrap.indent(exercise.prompt, "# ", lambda line: True).replace("# \n", "#\n")
    text = f"# {exercise.title} ({exercise.minutes} minutes)\n#\n{prompt}\n\n{exercise.text('starter.py')}"
    return _write_once(folder / f"{exercise.slug}.py", text)


def _write_once(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(text, encoding="utf-8")
    return path

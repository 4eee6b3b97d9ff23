"""``workbench practice`` and ``workbench check``: the same practice in any editor and terminal."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from workbench import clock
from workbench.practice.desk import Practice
from workbench.practice.exercise import Exercise
from workbench.practice.task import Task, write_program

__all__ = ["check", "practice"]

_LOOK = 0.3  # seconds between two looks at a file that is watched


def practice(given: argparse.Namespace) -> int:
    """Do what ``workbench practice`` was asked for."""
    desk = Practice()
    actions: dict[str, Callable[[], str]] = {
        "list": lambda: repr(desk),
        "start": lambda: _start(desk, given),
        "open": lambda: _open(desk, given.slug),
        "report": desk.report,
        "export": lambda: desk.store.export(given.format).rstrip("\n"),
        "delete": lambda: _delete(desk, sure=given.yes),
    }
    print(actions[given.action]())
    return 0


def check(given: argparse.Namespace) -> int:
    """Judge a file, once or each time that it is saved; 0 if it is right, 1 if it is not."""
    task = Task(given.slug)
    passed = False
    for text in _saved(Path(given.file), again=given.watch):
        report = task.check(text)
        passed = report.passed
        print(report, flush=True)
        if given.watch:
            print(f"\n(watching {given.file}; Ctrl+C ends it)\n", flush=True)
    return 0 if passed else 1


def _saved(path: Path, *, again: bool) -> Iterator[str]:
    seen = None
    while True:
        if (text := path.read_text(encoding="utf-8")) != seen:
            seen = text
            yield text
        if not again:
            return
        time.sleep(_LOOK)


def _start(desk: Practice, given: argparse.Namespace) -> str:
    topics = given.topic or ()
    session = desk.interview(given.minutes, topics=topics, difficulty=given.difficulty, only_due=given.due)
    head = (
        f"A mock interview of {given.minutes} minutes has begun; it ends at {session.end.astimezone():%H:%M}."
    )
    return "\n".join([head, *(_open(desk, slug) for slug in session.slugs)])


def _open(desk: Practice, slug: str) -> str:
    exercise = Exercise.load(slug)
    path, notebook = write_program(exercise, Path("practice")), desk.open(slug)
    desk.store.open(slug, clock.date())
    return (
        f"{exercise.title}, {exercise.minutes} minutes: {path}, or {notebook} in JupyterLab\n"
        f"  workbench check {slug} {path} --watch"
    )


def _delete(desk: Practice, *, sure: bool) -> str:
    path = desk.store.path
    if not sure:
        return f"This deletes {path}, with all attempts. To do it: workbench practice delete --yes"
    desk.store.delete()
    return f"Deleted: {path}"

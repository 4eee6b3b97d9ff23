"""What goes wrong with a learner's code, in plain words, and the lines of it that things happen at."""

from __future__ import annotations

import asyncio
import linecache
from types import FrameType
from typing import Any

from workbench.practice.upstream import Service

__all__ = ["EVIDENCE", "LEARNER", "Fault", "called_by", "fault_of", "learner_frame", "line_of", "where"]

LEARNER = "<your code>"  # its file name, in tracebacks too
EVIDENCE = 300  # characters


class Fault(Exception):
    """The code did something that ends a check, such as an error of its own."""

    def __init__(self, title: str, evidence: str, look_at: str = "") -> None:
        super().__init__(title, evidence, look_at)
        self.title, self.evidence, self.look_at = title, evidence, look_at


def fault_of(error: BaseException) -> Fault:
    """What to tell of an error, and of the learner's line from which it came."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, SyntaxError) and error.filename in (LEARNER, None):  # null bytes have none
        return Fault("a syntax error", f"line {error.lineno}: {error.msg}: {(error.text or '').strip()}")
    if isinstance(error, MemoryError):
        return Fault(
            "too much memory", "your code needs more memory than a check may have", "what it collects."
        )
    entry, line = error.__traceback__, ""
    while entry:
        if entry.tb_frame.f_code.co_filename == LEARNER:
            line = f", {line_of(entry.tb_lineno)}"
        entry = entry.tb_next
    text = " ".join(str(error).split())[:EVIDENCE]
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if not line:
        return Fault("an unexpected result", f"the check cannot use what came of your code: {said}")
    return Fault("an error", f"{said}{line}", "the line that raised it.")


def line_of(number: int) -> str:
    """A line of the learner's code, with its number."""
    source = linecache.getline(LEARNER, number).strip()
    return f"line {number}: {source}" if source else f"line {number}"


def where(task: asyncio.Task[Any]) -> str:
    """The innermost line of the learner's at which a task waits."""
    coro: Any = task.get_coro()
    place = getattr(coro, "__qualname__", "a task")
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None)
        if frame is not None and frame.f_code.co_filename == LEARNER:
            place = f"{frame.f_code.co_name}(), {line_of(frame.f_lineno)}"
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None)
    return place


def learner_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of the learner's code, from `frame` outwards."""
    while frame is not None and frame.f_code.co_filename != LEARNER:
        frame = frame.f_back
    return frame


def called_by(frame: FrameType | None) -> tuple[str, str]:
    """What the learner's code called that is running now, and at which line."""
    inner = frame
    while frame is not None and frame.f_code.co_filename != LEARNER:
        inner, frame = frame, frame.f_back
    if frame is None or inner is None:
        return "other code", "which yours started"
    service = inner.f_locals.get("self")
    if isinstance(service, Service):
        return service.__name__, line_of(frame.f_lineno)
    module = inner.f_globals.get("__name__", "")
    return ("time.sleep" if module == "workbench.clock.current" else module.split(".")[0]), line_of(
        frame.f_lineno
    )

"""Event-loop lag: how late the loop is, and what holds it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

from workbench.clock import virtual_loop
from workbench.profiling.frames import is_own, where

__all__ = ["Block", "LoopLag"]


@dataclass(frozen=True, slots=True)
class Block:
    """Something held the event loop.

    Attributes:
        at: when it began, in seconds since the monitor did.
        seconds: for how long.
        function: the program's innermost function that ran meanwhile; empty if it was not seen.
        where: its file and line.
    """

    at: float
    seconds: float
    function: str = ""
    where: str = ""


class LoopLag:
    """Measures how late the event loop is, and names what holds it; ``async with`` runs it.

    On the wall clock a timer tells how late it is called, and a thread looks at the loop's thread whenever it
    is overdue.  (What holds Python's lock, such as a long C call, holds that thread, too: it is measured, and
    named only if it is seen.)  In virtual time each blocking sleep is seen, for exactly as long as it lasts.

    Args:
        interval: seconds between two measurements.
        threshold: seconds from which on a delay is a :class:`Block`.
    """

    def __init__(self, *, interval: float = 0.01, threshold: float = 0.05) -> None:
        if not interval > 0 or not threshold > 0:
            raise ValueError(f"interval and threshold must be positive, got {interval!r} and {threshold!r}")
        self.samples: list[tuple[float, float]] = []  # (at, seconds late)
        self.blocks: list[Block] = []
        self._interval, self._threshold = interval, threshold
        self._seen: Counter[tuple[str, str]] = Counter()
        self._stop = threading.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._began = self._due = self._loop.time()
        self._thread_id = threading.get_ident()
        if virtual := virtual_loop():
            self._block, virtual.block = virtual.block, self._blocking  # type: ignore[method-assign]  # undone
        else:
            self._beat()
            self._watcher = threading.Thread(target=self._watch, name="workbench-lag", daemon=True)
            self._watcher.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        if virtual := virtual_loop():
            del virtual.block  # the class's own is back
            return
        self._note()
        self._timer.cancel()
        self._stop.set()
        self._watcher.join()

    @property
    def worst(self) -> float:
        """The greatest delay, in seconds."""
        return max((late for _, late in self.samples), default=0.0)

    def _beat(self) -> None:
        self._note()
        self._due = self._loop.time() + self._interval
        self._timer = self._loop.call_at(self._due, self._beat)

    def _note(self) -> None:
        late = self._loop.time() - self._due
        if late >= 0:
            self._keep(self._due, late, *next(iter(self._seen.most_common(1)), (("", ""), 0))[0])
        self._seen.clear()

    def _keep(self, at: float, late: float, function: str, where: str) -> None:
        self.samples.append((at - self._began, late))
        if late >= self._threshold:
            self.blocks.append(Block(at - self._began, late, function, where))

    def _watch(self) -> None:
        while not self._stop.wait(self._threshold / 4):
            frame = sys._current_frames().get(self._thread_id)
            if frame and self._loop.time() - self._due > self._threshold / 2:
                self._seen[_name(frame)] += 1

    def _blocking(self, seconds: float, **options: Any) -> None:
        at, held = self._loop.time(), threading.get_ident() == self._thread_id
        self._block(seconds, **options)
        if held:
            self._keep(at, self._loop.time() - at, *_name(sys._getframe(1)))


def _name(frame: FrameType) -> tuple[str, str]:
    """(function, where) of the innermost frame of the program itself; of any, if there is none."""
    own: FrameType | None = frame
    while own is not None and not is_own(own.f_code.co_filename):
        own = own.f_back
    own = own or frame
    return own.f_code.co_qualname, where(own.f_code.co_filename, own.f_lineno)

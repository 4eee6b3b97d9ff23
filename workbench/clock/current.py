"""The current clock: what time it is for the code that asks, and how it waits.

On a virtual loop, and in the threads that it has started, that is virtual time; elsewhere the wall clock.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from workbench.clock.turns import Turns
from workbench.clock.worker import HERE

if TYPE_CHECKING:
    from workbench.clock.loop import VirtualTimeLoop

__all__ = ["CURRENT", "EPOCH", "Alarm", "Timeline", "date", "now", "reader", "sleep", "virtual_loop"]

_REAL_SLEEP = time.sleep
CURRENT: contextvars.ContextVar[VirtualTimeLoop] = contextvars.ContextVar("workbench.clock")
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)  # the date at which every virtual clock starts


def virtual_loop() -> VirtualTimeLoop | None:
    """The virtual-time loop that this code runs on, or was started from; None on the wall clock."""
    if loop := asyncio._get_running_loop():
        return loop if isinstance(loop, Turns) else None  # type: ignore[return-value]  # there is no other kind
    # A worker thread, or one that inherits the loop by its context.
    inherited = getattr(HERE, "loop", None) or CURRENT.get(None)
    return None if inherited is None or inherited.is_closed() else inherited


def now() -> float:
    """Seconds on the current clock: virtual time where it runs, ``time.monotonic()`` elsewhere."""
    return reader()()


def reader() -> Callable[[], float]:
    """What reads the current clock: for code that asks often, and stays in its event loop or thread."""
    loop = virtual_loop()
    return time.monotonic if loop is None else loop.time


def date() -> datetime:
    """The current date (UTC); a virtual clock starts at 2025-01-01T00:00:00Z."""
    loop = virtual_loop()
    return datetime.now(UTC) if loop is None else EPOCH + timedelta(seconds=loop.time())


def sleep(seconds: float) -> None:
    """Block the calling thread for `seconds` of the current clock (what ``time.sleep`` should do)."""
    loop = virtual_loop()
    if loop is None:
        _REAL_SLEEP(seconds)
    else:
        loop.block(seconds)


class Alarm:
    """A blocking sleep that somebody else can cut short; for one sleeper at a time."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._cut: Callable[[], None] | None = None

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds` of the current clock, or until :meth:`ring`."""
        loop = virtual_loop()
        if loop is None:
            self._rung.wait(seconds)
        else:
            loop.block(seconds, alarm=self)
        self._rung.clear()

    def ring(self) -> None:
        """End the sleep, from the loop or from another thread."""
        self._rung.set()
        if self._cut is not None:
            self._cut()

    release = ring  # what a condition calls that notifies


class Timeline:
    """Time that only goes forward, whatever clock reads it; for what outlives an event loop.

    Each virtual run starts at 0 again.  On another clock than before, a timeline goes on from where it was.
    Before that it is the virtual clock's own time, or starts at 0 on the wall clock.
    """

    def __init__(self) -> None:
        self._clock: object = None
        loop = virtual_loop()
        self._loop = None if loop is None else weakref.ref(loop)
        self._offset = 0.0
        self._last = 0.0

    def now(self) -> float:
        """Seconds on this timeline.

        Raises:
            RuntimeError: a virtual run uses it, and this thread is not on that run's clock.
        """
        loop = virtual_loop()
        reading = time.monotonic() if loop is None else loop.time()
        clock = time if loop is None else loop.identity
        if clock is not self._clock:
            self._refuse_strangers(loop)
            self._loop = None if loop is None else weakref.ref(loop)
            fresh = self._clock is None and loop is not None
            self._offset = 0.0 if fresh else self._last - reading
            self._clock = clock
        self._last = max(self._last, reading + self._offset)
        return self._last

    def latest(self) -> float:
        """Its latest instant: now, where its own clock runs, and else when it was last read."""
        loop = virtual_loop()
        clock = time if loop is None else loop.identity
        return self.now() if clock is self._clock else self._last

    def _refuse_strangers(self, current: VirtualTimeLoop | None) -> None:
        """A thread of nobody's would mix real time into virtual time, differently in each run."""
        loop = self._loop and self._loop()
        if loop and loop is not current and loop.is_running() and asyncio._get_running_loop() is None:
            raise RuntimeError(
                "this is in use on a virtual clock, and this thread is not on that clock: start it "
                "within the run, for one by asyncio.to_thread"
            )

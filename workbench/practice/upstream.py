"""What a learner's code is given to call, and what became of each call: the truth that it is judged by.

A :class:`Service` stands for anything that is asked and takes its time (a fetch, a replica, a batch
endpoint), a :class:`Source` for a stream.  Both write down what happened, in the run's virtual time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.clock import now, sleep
from workbench.simulator import RequestLog

__all__ = ["Call", "Peak", "Service", "Source", "from_log", "peak", "waits"]


@dataclass(slots=True)
class Call:
    """One call as the side that was called saw it; `end` is None while it is under way.

    `outcome` is ``ok``, ``error``, ``cancelled`` or ``in flight``.
    """

    name: str
    start: float
    end: float | None = None
    outcome: str = "in flight"
    args: tuple[Any, ...] = ()
    thread: str = field(default_factory=lambda: threading.current_thread().name)


@dataclass(frozen=True)
class Peak:
    """The most calls that were under way at once, and the first instant at which they were."""

    count: int
    at: float

    def __str__(self) -> str:
        return f"{self.count} in flight at t = {self.at:.2f} s"


def peak(calls: Iterable[Call]) -> Peak:
    """The most that were under way at once; one that ends makes room for one that begins at that instant."""
    steps = []
    for call in calls:
        steps.append((round(call.start, 9), 1))
        if call.end is not None and call.end > call.start:
            steps.append((round(call.end, 9), -1))
    best, level = Peak(0, 0.0), 0
    for at, step in sorted(steps):
        level += step
        best = Peak(level, at) if level > best.count else best
    return best


def waits(calls: Sequence[Call]) -> list[float]:
    """Seconds between the end of each call and the start of the next."""
    ends = [call.end for call in calls]
    starts = [call.start for call in calls[1:]]
    return [round(start - end, 9) for end, start in zip(ends, starts, strict=False) if end is not None]


def from_log(log: RequestLog) -> list[Call]:
    """A simulator's log as calls; what was refused, failed or broken counts as an error."""
    return [
        Call(
            name=record.model or record.route,
            start=record.arrival,
            end=None if record.outcome == "in flight" else record.ended,
            outcome=record.outcome if record.outcome in ("ok", "cancelled", "in flight") else "error",
            thread="",
        )
        for record in log
    ]


class Service:
    """An async function that takes its time, and keeps a record of its calls.

    Args:
        answer: a function of the arguments that gives the result, or raises; or the result itself. An
            exception that it returns is raised.
        takes: seconds of each call, or a function of the arguments that gives them.
        name: in the timeline.
    """

    def __init__(self, answer: Any, takes: float | Callable[..., float], name: str) -> None:
        self.calls: list[Call] = []
        self.__name__ = self.__qualname__ = name
        self._answer, self._takes = answer, takes

    async def __call__(self, *args: Any, **options: Any) -> Any:
        """Answer one call."""
        call = self._begin(args)
        try:
            await asyncio.sleep(self._seconds(args, options))
            return self._end(call, args, options)
        except asyncio.CancelledError:
            call.end, call.outcome = now(), "cancelled"
            raise

    def _begin(self, args: tuple[Any, ...]) -> Call:
        self.calls.append(call := Call(self.__name__, now(), args=args))
        return call

    def _seconds(self, args: tuple[Any, ...], options: dict[str, Any]) -> float:
        return self._takes(*args, **options) if callable(self._takes) else self._takes

    def _end(self, call: Call, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        call.end, call.outcome = now(), "error"
        answer = self._answer(*args, **options) if callable(self._answer) else self._answer
        if isinstance(answer, BaseException):
            raise answer
        call.outcome = "ok"
        return answer


class Blocking(Service):
    """A service that blocks its caller: a synchronous client, or work for the CPU."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Answer one call, and let nothing else happen in this thread meanwhile."""
        call = self._begin(args)
        sleep(self._seconds(args, options))
        return self._end(call, args, options)


class Source:
    """A stream, for ``async for``: it gives its items one by one, each when it is asked for and due.

    Args:
        items: that it gives.
        every: seconds until each item, from when it is asked for.
        error: that it raises in the end; None: it just ends.

    Attributes:
        asked: when each item was asked for.
        closed: when it was closed before its end, by ``aclose()``; None: it was not.
        ended: when it came to its end; None: it did not.
    """

    def __init__(self, items: Iterable[Any], every: float, error: BaseException | None) -> None:
        self.asked: list[float] = []
        self.closed: float | None = None
        self.ended: float | None = None
        self._items, self._every, self._error = iter(items), every, error

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        """The next item."""
        if self.closed is not None or self.ended is not None:
            raise StopAsyncIteration
        self.asked.append(now())
        await asyncio.sleep(self._every)
        for item in self._items:
            return item
        self.ended = now()
        raise self._error or StopAsyncIteration

    async def aclose(self) -> None:
        """The reader needs no more of it."""
        if self.closed is None and self.ended is None:
            self.closed = now()

"""A thread in virtual time: when it cannot go on by itself, and the calls that it makes for a loop."""

from __future__ import annotations

import asyncio
import contextlib
import dis
import functools
import re
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from workbench.clock.current import Alarm
    from workbench.clock.turns import Turns

__all__ = ["HERE", "Job", "Worker"]

_STALL = 0.05  # real seconds: who stands so long where a lock is taken, waits for it
_WAKE = 0.01  # real seconds that a thread takes at most to get hold of a lock that is free
_OURS = str(Path(__file__).parent)
_WAITERS = frozenset({"acquire", "get", "join", "__enter__"})
HERE = threading.local()  # its `loop` is the one that a worker thread lives on


class Worker:
    """A thread that lives in a loop's virtual time."""

    def __init__(self, thread: threading.Thread | None = None) -> None:
        self.thread = thread
        self.nap = 0  # the number of its latest sleep: an older one was cut short
        self.alarm: Alarm | None = None  # that its present sleep listens to
        self._wake = threading.Event()
        self._place: tuple[int, int] | None = None
        self._since = 0.0

    def go(self) -> None:
        """Let it go on."""
        self._wake.set()

    def park(self) -> None:
        """Wait, as this thread, to be let go on."""
        self._wake.wait()
        self._wake.clear()

    def recheck(self) -> None:
        """Something has just happened: a lock that this thread waits for may be free now."""
        self._since = max(self._since, time.monotonic() - _STALL + _WAKE)

    def blocked(self, *, timed: bool = True) -> bool:
        """Whether the thread cannot go on by itself: it has ended, or waits to be notified.

        Every waiting of the standard library's (Event, Queue, Future.result, Semaphore) ends in
        ``Condition.wait``, whose local `waiter` is a lock that is free from the notification on.
        A bare Lock shows no such sign, but the instruction at which the thread stands does.  A wait
        with a timeout, which runs in real time, counts if `timed`.
        """
        if self.thread is None:
            return False
        frame = sys._current_frames().get(cast(int, self.thread.ident))
        if frame is None:
            return True
        if frame.f_code is not threading.Condition.wait.__code__:
            return self._takes_lock(frame) and self._stalled(frame)
        starts = frame.f_back and frame.f_back.f_back  # Thread.start, by way of Event.wait
        if starts and starts.f_code is threading.Thread.start.__code__:
            return False
        waiter = frame.f_locals.get("waiter")
        endless = timed or frame.f_locals.get("timeout") is None
        return waiter is not None and waiter.locked() and endless

    def _takes_lock(self, frame: FrameType) -> bool:
        code = frame.f_code  # a loop that runs within this thread does not wait for a lock
        return not code.co_filename.startswith(_OURS) and _takes_lock(code, frame.f_lasti)

    def _stalled(self, frame: FrameType) -> bool:
        place = (id(frame), frame.f_lasti)
        if place != self._place:
            self._place, self._since = place, time.monotonic()
        return time.monotonic() - self._since > _STALL


@functools.lru_cache(maxsize=256)
def _takes_lock(code: CodeType, position: int) -> bool:
    """Whether the instruction at `position` may wait for a Lock, a SimpleQueue or a thread's end.

    These wait in C, where only the name of what was called last can be seen.
    """
    callee = ""
    for instruction in dis.get_instructions(code):
        name, argument = instruction.opname, instruction.argrepr
        if name in {"LOAD_METHOD", "LOAD_SPECIAL", "PUSH_NULL"} or "NULL" in argument:
            callee = argument
        if instruction.offset >= position:
            break
    return name == "BEFORE_WITH" or ("CALL" in name and not _WAITERS.isdisjoint(re.findall(r"\w+", callee)))


class Job(Worker):
    """A call that `run_in_executor` was asked for; it holds a thread of its pool until its turn."""

    def __init__(
        self,
        loop: Turns,
        pool: ThreadPoolExecutor,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        future: asyncio.Future[Any],
    ) -> None:
        super().__init__()
        self.loop, self.pool, self.future = loop, pool, future
        self.func, self.args = func, args
        self.ended: asyncio.Future[None] = loop.create_future()
        self.dropped = False

    def run(self) -> None:
        """What the pool's thread does."""
        self.thread = threading.current_thread()
        self.park()
        if not self.dropped:
            self._live()

    def drop(self) -> None:
        """Let the pool's thread go on without it."""
        self.dropped = True
        self.go()

    def _live(self) -> None:
        thread = cast(threading.Thread, self.thread)
        self.loop._workers[thread] = self
        HERE.loop = self.loop
        result, error = None, None
        try:
            result = self.func(*self.args)
        except BaseException as exc:  # whatever it is, it belongs to the caller
            error = exc
        finally:
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody asks any more
                self.loop.call_soon_threadsafe(self._deliver, result, error)
                self.loop._tell(lambda: self.loop._job_ended(self))
            del HERE.loop, self.loop._workers[thread]

    def _takes_lock(self, frame: FrameType) -> bool:
        if frame.f_code is not Job._live.__code__:
            return super()._takes_lock(frame)
        func = self.func  # such as Lock.acquire: it has no frame of its own
        if isinstance(func, functools.partial) and func.args:  # made by to_thread
            func = func.args[0]
        return getattr(func, "__name__", "") in _WAITERS

    def _deliver(self, result: Any, error: BaseException | None) -> None:
        if self.future.done():
            return
        if isinstance(error, StopIteration):  # a future cannot hold one (PEP 479)
            self.future.set_exception(RuntimeError(f"the thread's call raised {error!r}"))
        elif error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

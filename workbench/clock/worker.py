"""A thread in virtual time: when it cannot go on by itself, and the calls that it makes for a loop."""

from __future__ import annotations

import contextlib
import dis
import functools
import queue
import re
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from workbench.clock.current import Alarm
    from workbench.clock.turns import Turns

__all__ = ["HERE", "REAL_WAIT", "Job", "StoppedError", "Worker"]

_STALL = 0.05  # real seconds: who stands so long where a lock is taken, waits for it
_WAKE = 0.01  # real seconds that a thread takes at most to get hold of a lock that is free
_OURS = str(Path(__file__).parent)
_WAITERS = frozenset({"acquire", "get", "join", "__enter__"})
REAL_WAIT = threading.Condition.wait


class StoppedError(RuntimeError):
    """The virtual clock ended while a thread slept on it."""


HERE = threading.local()  # its `loop` is the one that a worker thread lives on


class Worker:
    """A thread that lives in a loop's virtual time."""

    def __init__(self, thread: threading.Thread | None = None) -> None:
        self.thread = thread
        self.nap = 0  # the number of its latest sleep: an older one was cut short
        self.alarm: Alarm | None = None  # that its present sleep listens to
        self.ended = threading.Event()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._place: tuple[int, int] | None = None
        self._since = 0.0

    def go(self) -> None:
        """Let it go on."""
        self._wake.put(None)

    def park(self) -> None:
        """Wait, as this thread, to be let go on."""
        self._wake.get()

    def live(self, loop: Turns, run: Callable[[], object]) -> None:
        """Be this thread on the loop's clock, from its turn to its end; `run` is what it does."""
        self.thread = thread = threading.current_thread()
        self.park()
        HERE.loop, loop._workers[thread] = loop, self
        try:
            with contextlib.suppress(StoppedError):  # it goes no further than the clock
                run()
        finally:
            self.ended.set()
            del HERE.loop
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody asks any more
                loop._tell(lambda: loop._ended(self))

    def recheck(self) -> None:
        """Something has just happened: a lock that this thread waits for may be free now."""
        self._since = max(self._since, time.monotonic() - _STALL + _WAKE)

    def blocked(self, *, stranger: bool = False) -> bool:
        """Whether the thread cannot go on by itself: it has ended, or waits to be notified.

        One that lives on the clock tells when it waits, but for a bare Lock or a SimpleQueue.  These show
        no sign, but the instruction at which the thread stands does.  A `stranger` stands in
        ``Condition.wait``, whose local `waiter` is a lock that is free from the notification on.
        """
        if self.thread is None:
            return False
        frame = sys._current_frames().get(cast(int, self.thread.ident))
        if frame is None:
            return True
        if frame.f_code is Worker.park.__code__:
            return stranger
        if frame.f_code is not REAL_WAIT.__code__:
            return self._takes_lock(frame) and self._stalled(frame)
        waiter = frame.f_locals.get("waiter")
        return stranger and waiter is not None and waiter.locked()

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
    """A call that a pool was asked for; it holds a thread of its pool until its turn."""

    def __init__(self, loop: Turns, pool: ThreadPoolExecutor, func: Callable[[], Any]) -> None:
        super().__init__()
        self.loop, self.pool, self.func = loop, pool, func
        self.future: Future[Any] = Future()

    def run(self) -> None:
        """What the pool's thread does."""
        self.live(self.loop, self._call)

    def break_off(self, call: Future[Any]) -> None:
        """Its pool has ended with this `call`, which failed if there was no thread for it."""
        error = call.exception()
        if error and self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)
        if error:
            self.loop._tell(lambda: self.loop._ended(self))

    def _call(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.func()
        except StopIteration as error:  # a coroutine cannot raise one (PEP 479)
            self.future.set_exception(RuntimeError(f"the thread's call raised {error!r}"))
        except BaseException as error:  # whatever it is, it belongs to the caller
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def _takes_lock(self, frame: FrameType) -> bool:
        if frame.f_code is not Job._call.__code__:
            return super()._takes_lock(frame)
        func: Any = self.func  # such as Lock.acquire: it has no frame of its own
        while isinstance(func, functools.partial):
            func = func.args[0] if func.args and callable(func.args[0]) else func.func  # made by to_thread
        return getattr(func, "__name__", "") in _WAITERS

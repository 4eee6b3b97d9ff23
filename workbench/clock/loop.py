"""The event loop that never waits: when nothing is ready at this instant, time jumps to the next timer.

Rules of this file:

* Time is an integer number of nanoseconds.  A float clock cannot express every deadline; code that
  sleeps for "what is left" then sleeps for nothing, for ever.
* Equal timers fire in the order in which they were set (asyncio promises no order).
* Tasks are numbered by the loop, so that names, and the order in which sets of tasks are cancelled, are
  the same in every process.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import itertools
import linecache
import sys
import sysconfig
import threading
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from pathlib import Path
from types import CoroutineType, FrameType
from typing import TYPE_CHECKING, Any, TypeVarTuple, cast

from workbench.clock.threads import in_virtual_time
from workbench.clock.turns import NEVER, DeadlockError, Turns

if TYPE_CHECKING:
    from workbench.clock.current import Alarm

__all__ = ["VirtualTimeLoop"]

Ts = TypeVarTuple("Ts")

_NS = 1_000_000_000
_FAR = NEVER / _NS  # seconds
_ROUNDS = 101  # of callbacks between two looks at sockets and threads (a prime: see _polling)
_PATIENCE = 100  # looks at tasks that poll, and time goes on all the same
_STEP = "TaskStepMethWrapper"  # the callback of a task that goes on without having awaited anything
_OURS = str(Path(__file__).parent)
_STDLIB = sysconfig.get_path("stdlib")


class _Task(asyncio.Task[Any]):
    """A task whose place in a set depends on its number and not on its address in memory.

    TaskGroup, asyncio.wait and Runner keep their tasks in sets, and cancel them in that order.
    """

    __slots__ = ("_number",)
    _number: int

    def __hash__(self) -> int:
        return self._number


def _new_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> _Task:
    task = _Task.__new__(_Task)
    task._number = cast(VirtualTimeLoop, loop)._count()  # before asyncio puts it into its own set
    options["name"] = options.get("name") or f"Task-{task._number}"
    task.__init__(coro, loop=loop, **options)  # type: ignore[misc]  # it is not made yet
    return task


class _Handle(asyncio.Handle):
    """What asyncio makes when it does not debug, in half the time: a stream takes two for each token."""

    __slots__ = ()

    def __init__(self, callback: Any, args: tuple[Any, ...], loop: Any, context: Any) -> None:
        self._callback, self._args, self._loop = callback, args, loop
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False
        self._repr = self._source_traceback = None


class _Timer(asyncio.TimerHandle):
    __slots__ = ()

    def __init__(self, when: float, callback: Any, args: tuple[Any, ...], loop: Any, context: Any) -> None:
        self._callback, self._args, self._loop = callback, args, loop
        self._context = contextvars.copy_context() if context is None else context
        self._when = when
        self._cancelled = self._scheduled = False
        self._repr = self._source_traceback = None


class VirtualTimeLoop(Turns):
    """An asyncio event loop in virtual time; use it by :func:`run` or as a ``loop_factory``.

    Time starts at 0.  Sockets still work, in real time: the loop waits for them only when no timer is
    left to jump to.  If nothing at all is left to wait for, :class:`DeadlockError` names the tasks.
    """

    if TYPE_CHECKING:  # asyncio's own, which its stubs leave out
        _closed: bool
        _debug: bool
        _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self.identity = object()  # tells this loop from others, without keeping it alive
        self._timers: list[tuple[int, int, Any]] = []
        self._cancelled_timers = 0
        self._stood = 0
        self._count = functools.partial(next, itertools.count())
        self.set_task_factory(_new_task)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_ns / _NS

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` in `delay` virtual seconds; a positive delay is at least one nanosecond."""
        return self._schedule(self._after(self._now_ns, delay), callback, args, context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` when the clock reads `when`, which is later than now.

        A timer that sets itself again, and whose next time is rounded to this very instant, would let
        no time go on otherwise (aiolimiter's does, at one setting in four).
        """
        when_ns = self._now_ns + 1 if when <= self.time() else self._after(0, when)
        return self._schedule(when_ns, callback, args, context)

    def _schedule(
        self,
        when_ns: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> asyncio.TimerHandle:
        if self._closed:
            self._check_closed()
        make = asyncio.TimerHandle if self._debug else _Timer
        handle: Any = make(when_ns / _NS, callback, args, self, context)
        if when_ns < NEVER:
            handle._scheduled = True
            self._sequence += 1
            heappush(self._timers, (when_ns, self._sequence, handle))
        return cast(asyncio.TimerHandle, handle)

    def _after(self, origin_ns: int, delay: float) -> int:
        """The instant `delay` seconds after `origin_ns`: later than now if the delay is positive."""
        if delay <= 0:
            return self._now_ns
        if delay >= _FAR:  # anyio's sleep_forever() asks for infinity
            return NEVER
        instant = origin_ns + round(delay * _NS)
        return instant if instant > self._now_ns else self._now_ns + 1

    def _timer_handle_cancelled(self, handle: Any) -> None:
        if not handle._scheduled:
            return
        self._cancelled_timers += 1
        if self._cancelled_timers > 100 and self._cancelled_timers * 2 > len(self._timers):
            self._timers[:] = [timer for timer in self._timers if not timer[2]._cancelled]
            heapify(self._timers)
            self._cancelled_timers = 0

    def block(self, seconds: float, *, alarm: Alarm | None = None) -> None:
        """Block the calling thread for `seconds`: the loop itself, where this is the loop's thread.

        Meanwhile other threads go on, each at its own time.  An `alarm` may end it earlier; with one it may
        be without an end.

        Raises:
            ValueError: `seconds` is negative.
            DeadlockError: the loop's thread waits for an alarm that nothing can ring any more.
            RuntimeError: the loop was closed meanwhile.
        """
        if seconds < 0:
            raise ValueError(f"a sleep must not be negative, got {seconds!r} seconds")
        if seconds >= _FAR and not alarm:
            raise OverflowError(f"a sleep must end some day, got {seconds!r} seconds")
        until = self._after(self._now_ns, seconds)
        if threading.get_ident() != self._thread_id:
            self._park(until, alarm)
        else:
            self._hold(until, lambda: alarm is not None and alarm._rung.is_set())

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Like asyncio's, by a shorter way when it does not debug."""
        if self._debug or self._closed:
            return super().call_soon(callback, *args, context=context)
        self._ready.append(handle := _Handle(callback, args, self, context))
        return handle

    def run_forever(self) -> None:
        """Run until it is stopped; ``time.sleep`` and what waits in threads are virtual meanwhile."""
        with in_virtual_time():
            super().run_forever()

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if len(self._watched) > 1:  # more than the loop's own wake-up pipe
            self._process_events(self._selector.select(0))
        if not ready and not self._stopping:
            self._stood = 0
            if self._running or self._turns or self._outside:
                self._settle()
            if not ready and not self._jump():
                self._wait()
        elif not self._polling():
            self._stood = 0
        elif self._stood < _PATIENCE:
            self._stood += 1
        else:
            self._stood, before = 0, len(ready)
            self._settle(known=before)
            if len(ready) == before:
                self._jump()
        take, rounds = ready.popleft, _ROUNDS
        while ready and rounds and not self._stopping:
            rounds -= 1
            for _ in range(len(ready)):
                handle = take()
                if handle._cancelled:
                    continue
                try:  # Handle._run(), without the call
                    handle._context.run(handle._callback, *handle._args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as exc:
                    message = f"Exception in callback {handle!r}"
                    context = {"message": message, "exception": exc, "handle": handle}
                    self.call_exception_handler(context)
            if timers and timers[0][0] <= self._now_ns and not self._turns:
                self._fire()

    def _polling(self) -> bool:
        """Whether some tasks have just done ``sleep(0)``, and nothing else is going on.

        If they go on to do so, then in reality that takes time, too.  A future's callback, seen at any
        look, tells work from polling; looks at each 101st round meet it whatever the work's rhythm.
        """
        return all(type(handle._callback).__name__ == _STEP for handle in self._ready)

    def _jump(self) -> bool:
        """Let time go on to the next timer or sleeping thread, if there is one."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heappop(timers)
            self._cancelled_timers -= 1
        sleeper = self._next_sleeper() if self._sleepers else None
        if sleeper and (not timers or sleeper[:2] < timers[0][:2]):
            self._wake_sleeper()
        elif timers:
            if timers[0][0] > self._now_ns:
                self._now_ns = timers[0][0]
            self._fire()
        else:
            return False
        return True

    def _wait(self) -> None:
        """Wait in real time for what sockets and threads may bring."""
        if len(self._watched) > 1:
            self._process_events(self._selector.select(None))
        elif not self._brought(self._look_at_sockets, lambda: bool(self._ready) or not self._mail.empty()):
            raise DeadlockError(self._describe_deadlock())

    def _look_at_sockets(self, seconds: float) -> None:
        self._process_events(self._selector.select(seconds))

    def _fire(self) -> None:
        """Make the timers that are due ready, up to the first that a sleeping thread comes before."""
        timers, now, ready = self._timers, self._now_ns, self._ready
        sleeper = self._next_sleeper() if self._sleepers else None
        while timers and timers[0][0] <= now and not (sleeper and sleeper[:2] < timers[0][:2]):
            handle = heappop(timers)[2]
            if handle._cancelled:
                self._cancelled_timers -= 1
            else:
                handle._scheduled = False
                ready.append(handle)

    def close(self) -> None:
        """Close the loop; threads that still sleep on its clock are woken by an error."""
        super().close()
        self._read_mail()
        jobs = [job for queued in self._jobs.values() for job in queued]
        for job in jobs:
            job.future.cancel()
        sleepers = (worker for _, _, worker in self._sleepers)
        for worker in dict.fromkeys([*self._turns, *jobs, *self._waiting, *sleepers]):
            worker.go()

    def _describe_deadlock(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=hash)  # in the order in which they were started
        lines = [f"  {task.get_name()}: {_where(task)}" for task in tasks if not task.done()]
        threads = (worker.thread for worker in [*self._running, *self._waiting])
        lines += [f"  thread {_where_thread(thread)}" for thread in threads if thread]
        return (
            f"deadlock at t = {self.time():g} s: no timer is set and no thread runs, so "
            f"{len(lines)} pending task(s) or thread(s) can never go on:\n" + "\n".join(lines)
        )


def _where(task: asyncio.Task[Any]) -> str:
    """The line at which a suspended task waits."""
    coro = task.get_coro()
    while inspect.iscoroutine(inner := getattr(coro, "cr_await", None)) and not _library(inner):
        coro = inner
    frame = getattr(coro, "cr_frame", None)
    name = getattr(coro, "__qualname__", repr(coro))
    return name if frame is None else f"{name}() at {_place(frame)}"


def _place(frame: FrameType) -> str:
    """A line and where it stands, without what differs from machine to machine."""
    file, number = Path(frame.f_code.co_filename), frame.f_lineno
    cell = file.name.startswith("<") or file.parent.name.startswith("ipykernel_")
    where = f"line {number}" if cell else f"{file.name}:{number}"
    return f"{where}: {linecache.getline(frame.f_code.co_filename, number).strip()}"


def _where_thread(thread: threading.Thread) -> str:
    """The line of the user's code at which a blocked thread waits."""
    frame = sys._current_frames().get(cast(int, thread.ident))
    while frame and frame.f_code.co_filename.startswith((_STDLIB, _OURS)):
        frame = frame.f_back
    if frame is None:
        return thread.name
    return f"{thread.name}: {frame.f_code.co_qualname}() at {_place(frame)}"


def _library(coro: CoroutineType[Any, Any, Any]) -> bool:
    """Whether a coroutine's code is the standard library's: the line that called it says more."""
    return coro.cr_code.co_filename.startswith(_STDLIB)

"""One clock for everything: virtual time through asyncio, worker threads and blocking calls.

:class:`VirtualTimeLoop` is an event loop that never waits.  When nothing is ready at this instant, time
jumps to the next timer, so an hour of traffic takes as long as its Python code takes to run.  A reading
of the clock is therefore exact, and the same on every machine.

Rules of this file:

* Time is an integer number of nanoseconds.  A float clock cannot express every deadline; code that
  sleeps for "what is left" then sleeps for nothing, for ever.
* Equal timers fire in the order in which they were set (asyncio promises no order).
* A worker thread lives in the same time.  Threads take turns, in the order in which they were started
  or woken, and the clock stands still while one of them runs: the same program gives the same order.
* ``time.sleep`` in virtual time is a virtual sleep: in a worker thread it lets the loop go on, in the
  loop's own thread it blocks the loop, as it does in reality.  The clocks that are only *read*
  (``time.monotonic``, ``time.perf_counter``, ``time.time``) still tell real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import queue
import random
import sys
import sysconfig
import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from types import CoroutineType, FrameType
from typing import Any, TypeVar, cast

__all__ = [
    "Alarm",
    "DeadlockError",
    "Timeline",
    "VirtualTimeLoop",
    "date",
    "now",
    "run",
    "sleep",
    "virtual_loop",
]

T = TypeVar("T")

_NS = 1_000_000_000
_FAR = 1e12  # seconds: 30,000 years
_NEVER = round(_FAR) * _NS
_REAL_SLEEP = time.sleep
_STALL = 0.5  # real seconds
_WAKE = 0.02  # real seconds that a thread takes at most to get hold of a lock that is free
_ROUNDS = 100  # of callbacks between two looks at sockets and threads
_PATIENCE = 100  # times that many rounds at one instant, and time goes on although a task still polls
_STDLIB = sysconfig.get_path("stdlib")
_THREADS = 32  # asyncio's own default depends on the number of cores, and figures must not
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)  # the date at which every virtual clock starts
_CURRENT: contextvars.ContextVar[VirtualTimeLoop] = contextvars.ContextVar("workbench.clock")


class DeadlockError(RuntimeError):
    """Every task waits for something that nothing left in the program can bring about."""


def virtual_loop() -> VirtualTimeLoop | None:
    """The virtual-time loop that this code runs on, or was started from; None on the wall clock."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # a worker thread: it inherits the loop by its context
        inherited = _CURRENT.get(None)
        return None if inherited is None or inherited.is_closed() else inherited
    return loop if isinstance(loop, VirtualTimeLoop) else None


def now() -> float:
    """Seconds on the current clock: virtual time where it runs, ``time.monotonic()`` elsewhere."""
    loop = virtual_loop()
    return time.monotonic() if loop is None else loop._now_ns / _NS


def date() -> datetime:
    """The current date (UTC); a virtual clock starts at 2025-01-01T00:00:00Z."""
    loop = virtual_loop()
    return datetime.now(UTC) if loop is None else _EPOCH + timedelta(seconds=loop.time())


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


class Timeline:
    """Time that only goes forward, whatever clock reads it; for what outlives an event loop.

    Each virtual run starts at 0 again.  On another clock than before, a timeline goes on from where it was.
    Before that it is the virtual clock's own time, or starts at 0 on the wall clock.
    """

    def __init__(self) -> None:
        self._clock: object = None
        self._offset = 0.0
        self._last = 0.0

    def now(self) -> float:
        """Seconds on this timeline."""
        loop = virtual_loop()
        reading = time.monotonic() if loop is None else loop.time()
        clock = time if loop is None else loop.identity
        if clock is not self._clock:
            fresh = self._clock is None and loop is not None
            self._offset = 0.0 if fresh else self._last - reading
            self._clock = clock
        self._last = max(self._last, reading + self._offset)
        return self._last


class _Worker:
    """A thread that lives in a loop's virtual time."""

    def __init__(self, thread: threading.Thread | None = None) -> None:
        self.thread = thread
        self.nap = 0  # the number of its latest sleep: an older one was cut short
        self._wake = threading.Event()
        self._place: tuple[int, int] | None = None
        self._since = 0.0

    def go(self) -> None:
        self._wake.set()

    def park(self) -> None:
        self._wake.wait()
        self._wake.clear()

    def blocked(self, *, alone: bool) -> bool:
        """Whether the thread cannot go on by itself: it has ended, or waits to be notified.

        Every waiting of the standard library's (Event, Queue, Future.result, Semaphore) ends in
        ``Condition.wait``, whose local `waiter` is a lock that is free from the notification on.
        A bare Lock shows no such sign.  A thread that has stood at one instruction for long, and is
        not alone, is taken to wait for a lock that another one holds: else nobody ever went on.
        """
        if self.thread is None:
            return False
        frame = sys._current_frames().get(cast(int, self.thread.ident))
        if frame is None:
            return True
        if frame.f_code is not threading.Condition.wait.__code__:
            return not alone and self._stalled(frame)
        waiter = frame.f_locals.get("waiter")
        return waiter is not None and waiter.locked()

    def _stalled(self, frame: FrameType) -> bool:
        place = (id(frame), frame.f_lasti)
        if place != self._place:
            self._place, self._since = place, time.monotonic()
        return time.monotonic() - self._since > _STALL

    def recheck(self) -> None:
        """Another thread has just stopped: a lock that this one waits for may be free now."""
        self._since = max(self._since, time.monotonic() - _STALL + _WAKE)


class _Job(_Worker):
    """A call that `run_in_executor` was asked for."""

    def __init__(
        self,
        loop: VirtualTimeLoop,
        pool: ThreadPoolExecutor,
        call: Callable[[], Any],
        future: asyncio.Future[Any],
    ) -> None:
        super().__init__()
        self.loop, self.pool, self.call, self.future = loop, pool, call, future

    def go(self) -> None:
        if self.thread is not None:
            super().go()
        elif self.future.cancelled():
            self.loop.call_soon(self._finish, None, None)
            self.loop._parked.put((None, self))
        else:
            self.pool.submit(self._run)

    def _run(self) -> None:
        self.thread = threading.current_thread()
        self.loop._workers[self.thread] = self
        token = _CURRENT.set(self.loop)
        result, error = None, None
        try:
            result = self.call()
        except BaseException as exc:  # whatever it is, it belongs to the caller
            error = exc
        finally:
            _CURRENT.reset(token)
            del self.loop._workers[self.thread]
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody asks any more
                self.loop.call_soon_threadsafe(self._finish, result, error)
                self.loop._parked.put((None, self))

    def _finish(self, result: Any, error: BaseException | None) -> None:
        self.loop._job_ended(self)
        if self.future.done():
            return
        if isinstance(error, StopIteration):  # a future cannot hold one (PEP 479)
            self.future.set_exception(RuntimeError(f"the thread's call raised {error!r}"))
        elif error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop in virtual time; use it by :func:`run` or as a ``loop_factory``.

    Time starts at 0.  Sockets still work, in real time: the loop waits for them only when no timer is
    left to jump to.  If nothing at all is left to wait for, :class:`DeadlockError` names the tasks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.identity = object()  # tells this loop from others, without keeping it alive
        self._now_ns = 0
        self._watched = self._selector.get_map()
        self._sequence = 0
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._cancelled_timers = 0
        self._stood = 0
        self._sleepers: list[tuple[int, int, _Worker]] = []
        self._turns: deque[_Worker] = deque()  # threads that may run at this instant, in order
        self._running: dict[_Worker, None] = {}  # threads that have had their turn and are not asleep
        self._workers: dict[threading.Thread, _Worker] = {}
        self._parked: queue.SimpleQueue[tuple[int | None, _Worker] | None] = queue.SimpleQueue()
        self._jobs: defaultdict[ThreadPoolExecutor, list[_Job]] = defaultdict(list)
        self._outside = 0  # calls under way in other executors, such as processes
        self._foreign = self._threads_seen = threading.active_count()

    # -- time -------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_ns / _NS

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` in `delay` virtual seconds; a positive delay is at least one nanosecond."""
        return self._schedule(self._after(self._now_ns, delay), callback, args, context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run `callback` when the clock reads `when`."""
        when_ns = self._now_ns if when <= self.time() else self._after(0, when)
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
        handle = asyncio.TimerHandle(when_ns / _NS, callback, args, self, context)
        if when_ns < _NEVER:
            handle._scheduled = True
            self._sequence += 1
            heappush(self._timers, (when_ns, self._sequence, handle))
        return handle

    def _after(self, origin_ns: int, delay: float) -> int:
        """The instant `delay` seconds after `origin_ns`: later than now if the delay is positive."""
        if delay <= 0:
            return self._now_ns
        if delay >= _FAR:  # anyio's sleep_forever() asks for infinity
            return _NEVER
        instant = origin_ns + round(delay * _NS)
        return instant if instant > self._now_ns else self._now_ns + 1

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if not handle._scheduled:
            return
        self._cancelled_timers += 1
        if self._cancelled_timers > 100 and self._cancelled_timers * 2 > len(self._timers):
            self._timers[:] = [timer for timer in self._timers if not timer[2]._cancelled]
            heapify(self._timers)
            self._cancelled_timers = 0

    def block(self, seconds: float, *, alarm: Alarm | None = None) -> None:
        """Block the calling thread for `seconds`: the loop itself, where this is the loop's thread.

        Meanwhile other threads go on, each at its own time.  An `alarm` may end it earlier.

        Raises:
            ValueError: `seconds` is negative.
            RuntimeError: the loop was closed meanwhile.
        """
        if seconds < 0:
            raise ValueError(f"a sleep must not be negative, got {seconds!r} seconds")
        until = self._after(self._now_ns, seconds)
        if threading.get_ident() != self._thread_id:
            self._park(until, alarm)
            return
        self._settle(while_idle=False)
        while (sleeper := self._next_sleeper()) and sleeper[0] <= until:
            if alarm and alarm._rung.is_set():
                return
            self._wake_sleeper()
            self._settle(while_idle=False)
        if not (alarm and alarm._rung.is_set()):
            self._now_ns = until

    def _park(self, until: int, alarm: Alarm | None) -> None:
        thread = threading.current_thread()
        worker = self._workers.setdefault(thread, _Worker(thread))
        if alarm:
            alarm._cut = lambda: self._cut_short(worker)
        self._parked.put((until, worker))
        worker.park()
        if alarm:
            alarm._cut = None
        if self.is_closed():
            raise RuntimeError("the virtual clock was stopped while this thread slept on it")

    def _cut_short(self, worker: _Worker) -> None:
        if threading.get_ident() == self._thread_id:
            self._asleep(self._now_ns, worker)
        else:
            self._parked.put((self._now_ns, worker))

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Like asyncio's, by a shorter way when it does not debug."""
        if self._debug or self._closed:
            return super().call_soon(callback, *args, context=context)
        self._ready.append(handle := asyncio.Handle(callback, args, self, context))
        return handle

    # -- one iteration ----------------------------------------------------------------------------

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if len(self._watched) > 1:  # more than the loop's own wake-up pipe
            self._process_events(self._selector.select(0))
        if not ready and not self._stopping:
            self._stood = 0
            if self._running or self._turns or threading.active_count() != self._threads_seen:
                self._settle(while_idle=True)
            if not ready:
                self._jump()
        elif self._stood > _PATIENCE:
            # Some task polls by sleep(0) and will go on to do so: in reality that takes time, too.
            self._stood, before = 0, len(ready)
            self._settle(while_idle=False)
            if len(ready) == before and (timers or self._sleepers):
                self._jump()
        else:
            self._stood += 1
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

    def _jump(self) -> None:
        """Let time go on to the next timer or sleeping thread."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heappop(timers)
            self._cancelled_timers -= 1
        sleeper = self._next_sleeper()
        if sleeper and (not timers or sleeper[:2] < timers[0][:2]):
            self._wake_sleeper()
        elif timers:
            if timers[0][0] > self._now_ns:
                self._now_ns = timers[0][0]
            self._fire()
        elif self._outside or len(self._watched) > 1:
            self._process_events(self._selector.select(None))
        elif not self._grace():
            raise DeadlockError(self._describe_deadlock())

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

    def _next_sleeper(self) -> tuple[int, int, _Worker] | None:
        sleepers = self._sleepers
        while sleepers and sleepers[0][1] != sleepers[0][2].nap:
            heappop(sleepers)
        return sleepers[0] if sleepers else None

    def _wake_sleeper(self) -> None:
        when, _, worker = heappop(self._sleepers)
        self._now_ns = max(self._now_ns, when)
        self._turns.append(worker)

    # -- threads ----------------------------------------------------------------------------------

    def _settle(self, *, while_idle: bool) -> None:
        """Let the threads run until each has ended, sleeps, or waits for someone else.

        With `while_idle`, return as soon as the loop itself has something to do.
        """
        if threading.active_count() != self._threads_seen:
            self._adopt_threads()
        while self._turns or self._running:
            if while_idle and self._ready:
                return
            alone = len(self._running) == 1 and not self._sleepers and not self._turns
            if all(worker.blocked(alone=alone) for worker in self._running):
                # In this order: a thread says that it parks before it blocks.
                if self._parked.empty():
                    if not self._turns:
                        return
                    worker = self._turns.popleft()
                    self._running[worker] = None
                    worker.go()
            with contextlib.suppress(queue.Empty):
                if item := self._parked.get(timeout=0.001):
                    self._asleep(*item)

    def _asleep(self, until: int | None, worker: _Worker) -> None:
        self._running.pop(worker, None)
        for other in self._running:
            other.recheck()
        if until is None:  # its job has ended
            return
        self._sequence = worker.nap = self._sequence + 1
        heappush(self._sleepers, (until, self._sequence, worker))

    def _adopt_threads(self) -> None:
        """Take in anyio's own worker threads, which no executor of this loop has started."""
        alive = threading.enumerate()
        self._threads_seen = len(alive)
        for thread in alive:
            if type(thread).__module__.startswith("anyio.") and thread not in self._workers:
                if getattr(thread, "loop", None) is self:
                    self._running[self._workers.setdefault(thread, _Worker(thread))] = None
        for worker in [w for w in self._running if w.thread and not w.thread.is_alive()]:
            del self._running[worker]

    def _grace(self) -> bool:
        """Whether a thread that the loop does not know has brought something within a second."""
        if threading.active_count() <= self._foreign:
            return False
        self._process_events(self._selector.select(1.0))
        return bool(self._ready)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Like asyncio's.  The default pool has 32 threads; threads run one at a time, in order.

        Other executors (processes) run as they do; the clock stands still until they are done.
        """
        self._check_closed()
        if executor is None:
            if self._default_executor is None:
                self._default_executor = ThreadPoolExecutor(_THREADS, "virtual-time")
            executor = self._default_executor
        if not isinstance(executor, ThreadPoolExecutor):
            return self._run_outside(executor, func, args)
        future: asyncio.Future[T] = self.create_future()
        job = _Job(self, executor, lambda: func(*args), future)
        jobs = self._jobs[executor]
        jobs.append(job)
        if len(jobs) <= executor._max_workers:
            self._turns.append(job)
        return future

    def _job_ended(self, job: _Job) -> None:
        jobs = self._jobs[job.pool]
        if len(jobs) > job.pool._max_workers:
            self._turns.append(jobs[job.pool._max_workers])
        jobs.remove(job)

    def _run_outside(
        self, executor: Executor, func: Callable[..., T], args: tuple[Any, ...]
    ) -> asyncio.Future[T]:
        future = cast("asyncio.Future[T]", super().run_in_executor(executor, func, *args))
        self._outside += 1

        def done(_: asyncio.Future[T]) -> None:
            self._outside -= 1

        future.add_done_callback(done)
        return future

    def call_soon_threadsafe(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Like asyncio's; it also wakes a loop that waits for its threads."""
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        self._parked.put(None)
        return handle

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Let the default pool's threads come to their end, in virtual time, then join them."""
        pool, self._default_executor = self._default_executor, None
        if isinstance(pool, ThreadPoolExecutor):
            while self._jobs[pool]:
                await asyncio.wait([self._jobs[pool][-1].future], timeout=1)
            pool.shutdown(wait=True)

    def close(self) -> None:
        """Close the loop; threads that still sleep on its clock are woken by an error."""
        sleepers, self._sleepers = self._sleepers, []
        super().close()
        for _, _, worker in sleepers:
            worker.go()

    def _describe_deadlock(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        lines = [f"  {task.get_name()}: {_where(task)}" for task in tasks if not task.done()]
        return (
            f"deadlock at t = {self.time():g} s: no timer is set and no thread runs, so "
            f"{len(lines)} pending task(s) can never go on:\n" + "\n".join(lines)
        )


def _where(task: asyncio.Task[Any]) -> str:
    """The line at which a suspended task waits."""
    coro = task.get_coro()
    while inspect.iscoroutine(inner := getattr(coro, "cr_await", None)) and not _library(inner):
        coro = inner
    frame = getattr(coro, "cr_frame", None)
    name = getattr(coro, "__qualname__", repr(coro))
    return name if frame is None else f"{name}() at {frame.f_code.co_filename}:{frame.f_lineno}"


def _library(coro: CoroutineType[Any, Any, Any]) -> bool:
    """Whether a coroutine's code is the standard library's: the line that called it says more."""
    return coro.cr_code.co_filename.startswith(_STDLIB)


# -- running ------------------------------------------------------------------------------------------

_patch_lock = threading.Lock()
_patches = 0


@contextlib.contextmanager
def _virtual_sleep() -> Iterator[None]:
    """While a virtual run is on, ``time.sleep`` asks for the caller's clock.

    The SDKs' sync clients wait between two attempts by ``time.sleep``.
    """
    global _patches
    with _patch_lock:
        _patches += 1
        time.sleep = sleep
    try:
        yield
    finally:
        with _patch_lock:
            _patches -= 1
            if not _patches:
                time.sleep = _REAL_SLEEP


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global ``random``, from which the SDKs draw their jitter; give its state back after."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def run(
    main: Callable[[], Coroutine[Any, Any, T]] | Coroutine[Any, Any, T],
    *,
    virtual: bool = True,
    seed: int = 0,
) -> T:
    """Run `main` to its end on a fresh event loop and return what it returns.

    Where a loop is already running (as in a notebook), the new one runs in a thread of its own, with
    the caller's context copied; an interrupt cancels `main` and waits for its clean-up.

    Args:
        main: a coroutine function without arguments, or a coroutine.
        virtual: in virtual time; False: on the wall clock.
        seed: for the global ``random`` during a virtual run (the SDKs' retry jitter comes from it).

    Raises:
        DeadlockError: in virtual time, when no task can ever go on.
        TypeError: `main` is neither a coroutine function nor a coroutine.
    """
    started: list[asyncio.Task[Any]] = []

    async def supervised() -> T:
        started.append(cast("asyncio.Task[Any]", asyncio.current_task()))
        if virtual:
            _CURRENT.set(cast(VirtualTimeLoop, asyncio.get_running_loop()))
        coroutine: Awaitable[T] = main() if callable(main) else main
        if not inspect.isawaitable(coroutine):
            raise TypeError(f"run() takes a coroutine function or a coroutine, got {main!r}")
        return await coroutine

    def entry() -> T:
        with contextlib.ExitStack() as stack:
            if virtual:
                stack.enter_context(_virtual_sleep())
                stack.enter_context(_seeded(seed))
            factory = VirtualTimeLoop if virtual else None
            return stack.enter_context(asyncio.Runner(loop_factory=factory)).run(supervised())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        busy = False
    else:
        busy = True
    return _in_thread(entry, started) if busy else entry()


def _in_thread(entry: Callable[[], T], started: list[asyncio.Task[Any]]) -> T:
    outcome: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(entry())
        except BaseException as exc:  # handed to the caller's thread
            errors.append(exc)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(target,), name="workbench.run", daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        for task in started:
            with contextlib.suppress(RuntimeError):  # it has just ended
                task.get_loop().call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if errors:
        raise errors.pop()
    return outcome.pop()

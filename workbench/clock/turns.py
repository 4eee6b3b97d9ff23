"""Worker threads on a virtual clock: they take turns, and time stands still while one of them runs.

Rule of this file: a thread runs when the loop has given it its turn, until it ends, sleeps or waits for
someone else.  Turns are given in the order in which threads were started or woken, so that the same
program gives the same order; whatever a thread has to tell the loop goes by mail.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from workbench.clock.worker import Job, StoppedError, Worker

if TYPE_CHECKING:
    from workbench.clock.current import Alarm

__all__ = ["NEVER", "REAL_SHUTDOWN", "REAL_SUBMIT", "DeadlockError", "Turns"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NEVER = 10**12 * 10**9  # nanoseconds: 30,000 years
_THREADS = 32  # asyncio's own default depends on the number of cores, and figures must not
_PROMPT = 0.05  # real seconds that a thread may run on while the loop has something to do
_GRACE = 60  # real seconds that a loop at its end waits for a thread that it does not know
REAL_SUBMIT, REAL_SHUTDOWN = ThreadPoolExecutor.submit, ThreadPoolExecutor.shutdown


class DeadlockError(RuntimeError):
    """Every task waits for something that nothing left in the program can bring about."""


class Turns(asyncio.SelectorEventLoop):
    """The threads' side of :class:`~workbench.clock.loop.VirtualTimeLoop`."""

    if TYPE_CHECKING:  # asyncio's own, which its stubs leave out
        _ready: deque[Any]
        _selector: Any
        _thread_id: int | None
        _default_executor: Executor | None

        def _check_closed(self) -> None: ...
        def _process_events(self, events: Any) -> None: ...
        def _write_to_self(self) -> None: ...
        def _describe_deadlock(self) -> str: ...

    def __init__(self) -> None:
        super().__init__()
        self._now_ns = 0
        self._watched = self._selector.get_map()
        self._sequence = 0
        self._sleepers: list[tuple[int, int, Worker]] = []
        self._waiting: dict[Worker, None] = {}  # threads that sleep until somebody wakes them
        self._turns: deque[Worker] = deque()  # threads that may run at this instant, in order
        self._running: dict[Worker, None] = {}  # threads that had their turn and are not asleep
        self._workers: dict[threading.Thread, Worker] = {}
        self._mail: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()  # from the threads
        self._jobs: defaultdict[ThreadPoolExecutor, list[Job]] = defaultdict(list)
        self._outside: set[Future[Any]] = set()  # calls in other executors, such as processes
        self._elders = frozenset(threading.enumerate())

    def _hold(self, until: int, enough: Callable[[], bool]) -> None:
        """Let threads alone go on, to the instant `until`, or until there is `enough`."""
        self._settle(blocked=True)
        while not enough():
            sleeper = self._next_sleeper()
            if sleeper and sleeper[0] <= until:
                self._wake_sleeper()
            elif until < NEVER:
                self._now_ns = until
                return
            elif not self._brought(self._look_at_mail, lambda: enough() or not self._mail.empty()):
                raise DeadlockError(self._describe_deadlock())
            self._settle(blocked=True)

    def _park(self, until: int, alarm: Alarm | None) -> None:
        thread = threading.current_thread()
        worker = self._workers.setdefault(thread, Worker(thread))
        if alarm:
            alarm._cut = lambda: self._tell(lambda: self._cut_short(worker, alarm))
        self._tell(lambda: self._asleep(until, worker, alarm))
        if not self.is_closed():
            worker.park()
        if alarm:
            alarm._cut = None
        if self.is_closed():
            raise StoppedError("the virtual clock was stopped while this thread slept on it")

    def _cut_short(self, worker: Worker, alarm: Alarm) -> None:
        if worker.alarm is alarm:
            self._asleep(self._now_ns, worker, alarm)

    def _next_sleeper(self) -> tuple[int, int, Worker] | None:
        sleepers = self._sleepers
        while sleepers and sleepers[0][1] != sleepers[0][2].nap:
            heappop(sleepers)  # it was cut short
        return sleepers[0] if sleepers else None

    def _wake_sleeper(self) -> None:
        when, _, worker = heappop(self._sleepers)
        self._now_ns = max(self._now_ns, when)
        worker.alarm = None
        self._turns.append(worker)

    def _settle(self, *, blocked: bool = False, known: int = 0) -> None:
        """Let the threads run until each has ended, sleeps, or waits for someone else.

        Unless the loop is `blocked`, return as soon as it has more to do than what is `known`, and
        threads that call it have come to a halt.
        """
        self._read_mail()
        patience = time.monotonic() + _PROMPT
        self._recheck()
        while self._turns or self._running or self._outside:
            # In this order: a thread says that it parks before it blocks.
            if all(worker.blocked() for worker in self._running) and self._mail.empty():
                if not blocked and len(self._ready) > known:
                    return
                if self._turns:
                    worker = self._turns.popleft()
                    self._running[worker] = None
                    worker.go()
                elif not self._outside:
                    return
            elif not blocked and self._ready and time.monotonic() > patience:
                return
            if not blocked and len(self._watched) > 1 and (events := self._selector.select(0)):
                self._process_events(events)
                return
            self._look_at_mail(0.001)

    def _look_at_mail(self, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._mail.get(timeout=seconds)()

    def _recheck(self) -> None:
        for worker in self._running:
            worker.recheck()

    def _tell(self, news: Callable[[], None]) -> None:
        """Leave word for the loop, from a thread."""
        if threading.get_ident() == self._thread_id:
            news()
            return
        self._mail.put(news)
        if self._workers.get(threading.current_thread()) in self._running:
            self._write_to_self()
        else:  # the loop does not wait for this thread
            self.call_soon_threadsafe(self._read_mail)

    def _read_mail(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._mail.get_nowait()()

    def _asleep(self, until: int, worker: Worker, alarm: Alarm | None) -> None:
        self._stopped(worker)
        if alarm and alarm._rung.is_set():
            until = self._now_ns
        worker.alarm = alarm
        self._sequence = worker.nap = self._sequence + 1
        if until < NEVER:
            heappush(self._sleepers, (until, self._sequence, worker))
        else:
            self._waiting[worker] = None

    def _stopped(self, worker: Worker) -> None:
        self._running.pop(worker, None)
        self._waiting.pop(worker, None)
        self._recheck()

    def _adopt(self, thread: threading.Thread) -> Worker:
        """Let a thread that is not started yet live on this clock; its first turn is up to the caller."""
        self._workers[thread] = worker = Worker(thread)
        thread.run = functools.partial(worker.live, self, thread.run)  # type: ignore[method-assign]
        return worker

    def _ended(self, worker: Worker) -> None:
        self._stopped(worker)
        if worker.thread:
            self._workers.pop(worker.thread, None)
        if isinstance(worker, Job):
            self._free_place(worker)
        elif worker.thread:
            worker.thread.join(_GRACE)  # it has nothing to do any more: nobody shall see it by chance

    def _brought(self, look: Callable[[float], None], enough: Callable[[], bool]) -> bool:
        """Wait for threads that may yet bring something to a loop that is at its end.

        A thread that is older than the loop has one second for it, and a younger one a minute.
        """
        here = threading.current_thread()
        known = {worker.thread: worker for worker in self._running}
        began = time.monotonic()
        looks = 2  # since a thread may have been caught between two waits
        while looks and time.monotonic() - began < _GRACE:
            self._recheck()
            awake = set()
            for thread in threading.enumerate():
                worker = known.setdefault(thread, Worker(thread))
                if thread is not here and not worker.blocked(stranger=worker not in self._running):
                    awake.add(thread)
            if len(known) == 1:  # there is this thread alone
                return False
            if not awake or (awake <= self._elders and time.monotonic() - began > 1):
                looks -= 1
            look(0.1)
            if enough():
                return True
        return False

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
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
        return asyncio.wrap_future(self._submit(executor, functools.partial(func, *args)), loop=self)

    def _submit(self, pool: ThreadPoolExecutor, func: Callable[[], T]) -> Future[T]:
        """What a pool's `submit` does in virtual time: its thread waits until it is this call's turn."""
        job = Job(self, pool, func)
        call = REAL_SUBMIT(pool, job.run)
        self._tell(lambda: self._queue(job))
        call.add_done_callback(job.break_off)
        return job.future

    def _queue(self, job: Job) -> None:
        jobs = self._jobs[job.pool]
        jobs.append(job)
        if len(jobs) <= job.pool._max_workers:
            self._turns.append(job)

    def _free_place(self, job: Job) -> None:
        jobs, places = self._jobs[job.pool], job.pool._max_workers
        jobs.remove(job)
        if job in self._turns:
            self._turns.remove(job)
        if len(jobs) >= places:
            self._turns.append(jobs[places - 1])

    def _run_outside(
        self, executor: Executor, func: Callable[..., T], args: tuple[Any, ...]
    ) -> asyncio.Future[T]:
        call = executor.submit(func, *args)
        self._outside.add(call)
        future = asyncio.wrap_future(call, loop=self)
        call.add_done_callback(lambda _: self._mail.put(lambda: self._outside.discard(call)))
        return future

    def _shut_down(self, pool: ThreadPoolExecutor, *, wait: bool, cancel_futures: bool) -> None:
        """A pool's own `shutdown`, but time goes on while the caller waits for it."""
        futures = [job.future for job in self._jobs[pool]]
        if cancel_futures:
            for future in futures:
                future.cancel()
        REAL_SHUTDOWN(pool, wait=False)
        if wait:
            concurrent.futures.wait(futures)
            REAL_SHUTDOWN(pool)

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Like asyncio's; it also wakes a loop that waits for its threads."""
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        if self._running or self._outside:
            self._mail.put(_nothing)
        return handle

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Let the default pool's threads come to their end, in virtual time, then join them."""
        pool, self._default_executor = self._default_executor, None
        if isinstance(pool, ThreadPoolExecutor):
            REAL_SHUTDOWN(pool, wait=False)
            while left := [job.future for job in self._jobs[pool] if not job.future.done()]:
                await asyncio.wait([asyncio.wrap_future(left[-1])])
            REAL_SHUTDOWN(pool)


def _nothing() -> None:
    """Wake the loop."""

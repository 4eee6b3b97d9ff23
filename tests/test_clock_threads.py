"""Virtual time across threads: executors, blocking sleeps, locks, and what brings a loop to wait."""

# ruff: noqa: ASYNC110, ASYNC251 - polling and blocking the loop are what is tested here
# ruff: noqa: PT012 - the block is the program that shall raise

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import heapq
import math
import queue
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import clock
from workbench.clock import Alarm, DeadlockError, Timeline, VirtualTimeLoop, now, run

Log = list[Any]

pytestmark = pytest.mark.usefixtures("no_hang")


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """No test leaves a thread behind."""
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(1)
    assert not [thread for thread in left if thread.is_alive()]


def really_wait(seconds: float = 0.03, result: Any = None) -> Any:
    """Wait for real, as a system call does."""
    select.select([], [], [], seconds)
    return result


def slept(seconds: float) -> float:
    """Sleep as an SDK's sync client does between two attempts; return the time after that."""
    time.sleep(seconds)
    return now()


def after(seconds: float, act: Callable[..., object], *args: object) -> None:
    """Sleep, then act."""
    time.sleep(seconds)
    act(*args)


# -- sleeping threads --------------------------------------------------------------------------------


def test_threads_sleep_in_virtual_time() -> None:
    """time.sleep in worker threads lets the loop go on, and they overlap."""

    async def main() -> Log:
        asleep = [asyncio.create_task(asyncio.to_thread(slept, delay)) for delay in (3, 1, 2)]
        await asyncio.sleep(1.5)
        ended = [task.done() for task in asleep]
        return [ended, *await asyncio.gather(*asleep), now()]

    assert run(main) == [[False, True, False], 3, 1, 2, 3]


def test_the_clock_stands_still_while_a_thread_works() -> None:
    """Real work in a thread takes no virtual time, whatever timers are set."""

    def work() -> tuple[float, float]:
        began = now()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 50_000)
        really_wait()
        return began, now()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(1)
                assert await asyncio.to_thread(work) == (1, 1)
                assert now() == 1
                await asyncio.sleep(60)

    run(main)


def test_real_work_beside_a_sleeping_thread() -> None:
    """A thread in a long system call is not taken for one that waits for a lock."""

    async def main() -> Log:
        sleeping = asyncio.create_task(asyncio.to_thread(time.sleep, 100))
        ended = await asyncio.to_thread(lambda: really_wait(0.7) or now())
        await sleeping
        return [ended, now()]

    assert run(main) == [0, 100]


def test_one_thread_runs_at_a_time() -> None:
    """Threads take turns: no two are at work at once, at the start or after a sleep."""
    at_work: set[int] = set()

    def work(name: int) -> int:
        most = 0
        for _ in range(2):
            at_work.add(name)
            really_wait(0.005)
            most = max(most, len(at_work))
            at_work.remove(name)
            time.sleep(1)
        return most

    async def main() -> Log:
        return await asyncio.gather(*(asyncio.to_thread(work, name) for name in range(4)))

    assert run(main) == [1, 1, 1, 1]


def test_timers_and_sleeping_threads_share_one_order() -> None:
    """Equal timers fire first in, first out: call_later, call_at, tasks and threads alike."""

    async def main() -> Log:
        log: Log = []
        loop = asyncio.get_running_loop()
        loop.call_later(1, log.append, "later 1")
        first = asyncio.create_task(asyncio.to_thread(after, 1, log.append, "thread 1"))
        await asyncio.sleep(0.5)
        loop.call_at(1, log.append, "at")
        second = asyncio.create_task(asyncio.to_thread(after, 0.5, log.append, "thread 2"))
        await asyncio.sleep(0.25)
        loop.call_later(0.25, log.append, "later 2")
        await asyncio.gather(first, second)
        return log

    assert run(main) == ["later 1", "thread 1", "at", "thread 2", "later 2"]


eighths = st.integers(1, 4).map(lambda n: n / 8)  # exact in float


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(eighths, max_size=6)), max_size=7))
def test_tasks_and_threads_take_turns_as_one_queue_says(
    sleepers: list[tuple[bool, list[float]]],
) -> None:
    """Random sleepers: all in the order of one heap of (instant, when it was set)."""

    async def main() -> Log:
        log: Log = []

        async def task(name: int, delays: list[float]) -> None:
            for delay in delays:
                await asyncio.sleep(delay)
                log.append((now(), name))

        def thread(name: int, delays: list[float]) -> None:
            for delay in delays:
                time.sleep(delay)
                log.append((now(), name))

        async with asyncio.TaskGroup() as group:
            for name, (threaded, delays) in enumerate(sleepers):
                group.create_task(asyncio.to_thread(thread, name, delays) if threaded else task(name, delays))
        return log

    expected: Log = []
    # A thread begins when the loop is idle: after the tasks' first steps.
    names = sorted(range(len(sleepers)), key=lambda name: sleepers[name][0])
    heap = [(0.0, order, name, 0) for order, name in enumerate(names)]
    for sequence in range(len(heap), 1000):
        if not heap:
            break
        when, _, name, done = heapq.heappop(heap)
        if done:
            expected.append((when, name))
        if done < len(sleepers[name][1]):
            heapq.heappush(heap, (when + sleepers[name][1][done], sequence, name, done + 1))
    assert run(main) == expected


def test_a_blocked_loop_lets_threads_go_on() -> None:
    """While time.sleep blocks the loop, threads run, end and sleep, each at its own time."""

    async def main() -> Log:
        log: Log = []

        def thread(*delays: float) -> None:
            for delay in delays:
                time.sleep(delay)
                log.append(now())

        long = asyncio.create_task(asyncio.to_thread(thread, 1, 2, 4))
        short = asyncio.create_task(asyncio.to_thread(thread, 0.5))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(1, lambda: log.append(("timer", now())))
        time.sleep(5)
        log.append(("loop", now()))
        await asyncio.gather(long, short)
        return log

    assert run(main) == [0.5, 1, 3, ("loop", 5), ("timer", 5), 7]


def test_queued_jobs_go_on_while_the_loop_is_blocked() -> None:
    """A pool's next job begins when a place is free, even though the loop is blocked."""

    async def main() -> Log:
        with ThreadPoolExecutor(1) as pool:
            loop = asyncio.get_running_loop()
            jobs = [loop.run_in_executor(pool, slept, 1) for _ in range(3)]
            await asyncio.sleep(0.5)
            time.sleep(9)
            return await asyncio.gather(*jobs)

    assert run(main) == [1, 2, 3]


# -- executors ---------------------------------------------------------------------------------------


def test_a_pools_capacity_is_respected() -> None:
    """Five calls of a second on a pool of two threads take three seconds, in order."""

    async def main() -> Log:
        with ThreadPoolExecutor(max_workers=2) as pool:
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*(loop.run_in_executor(pool, slept, 1) for _ in range(5)))

    assert run(main) == [1, 1, 2, 2, 3]


def test_the_default_pool_is_the_same_on_every_machine() -> None:
    """The default executor runs 32 sleepers at a time, however many cores there are."""

    async def main() -> Log:
        return await asyncio.gather(*(asyncio.to_thread(slept, 1) for _ in range(65)))

    assert run(main) == [1] * 32 + [2] * 32 + [3]


def test_to_thread_gives_results_and_errors() -> None:
    """to_thread returns what its function returns, raises what it raises, and passes arguments."""

    async def main() -> None:
        assert await asyncio.to_thread("{}-{end}".format, 1, end=2) == "1-2"
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.to_thread(next, iter([]))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.to_thread(raising, asyncio.CancelledError())

    run(main)


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_threads_exit_reaches_the_awaiting_task(error: BaseException) -> None:
    """SystemExit and the like from a thread are raised where it is awaited, and end the run."""

    async def main() -> None:
        await asyncio.to_thread(raising, error)

    with pytest.raises(type(error)):
        run(main)


def test_threads_keep_context_variables() -> None:
    """to_thread carries the caller's context; run_in_executor, as ever, does not."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def main() -> Log:
        variable.set("main")
        loop = asyncio.get_running_loop()
        return [
            await asyncio.to_thread(variable.get),
            await loop.run_in_executor(None, variable.get),
            await anyio.to_thread.run_sync(variable.get),
        ]

    assert run(main) == ["main", "none", "main"]


def test_a_loop_factory_gives_threads_the_clock_too() -> None:
    """Under asyncio.Runner(loop_factory=VirtualTimeLoop) a thread reads and sleeps on that clock."""

    def work() -> float:
        clock.sleep(2)
        return now()

    async def main() -> Log:
        loop = asyncio.get_running_loop()
        return [await asyncio.to_thread(work), await loop.run_in_executor(None, work), now()]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(main()) == [2, 4, 4]


def in_a_process() -> int:
    really_wait(0.05)
    return 42


def test_the_clock_stands_still_while_a_process_works() -> None:
    """A call in a ProcessPoolExecutor takes no virtual time, whatever timers are set."""

    async def main() -> Log:
        with ProcessPoolExecutor(1) as pool:
            loop = asyncio.get_running_loop()
            results = [await asyncio.wait_for(loop.run_in_executor(pool, in_a_process), 10) for _ in range(2)]
        return [*results, now()]

    assert run(main) == [42, 42, 0]


def test_a_task_that_polls_sees_its_thread_end() -> None:
    """`while not future.done(): await sleep(0)` ends, whether the thread works or sleeps."""

    async def main() -> Log:
        for work in (int, lambda: slept(2)):
            future = asyncio.get_running_loop().run_in_executor(None, work)
            while not future.done():
                await asyncio.sleep(0)
        return [await future]

    assert run(main) == [2]


def test_an_executor_may_be_shut_down_before_its_jobs_begin() -> None:
    """Leaving `with ThreadPoolExecutor()` waits, in virtual time, for the jobs handed to it."""

    async def main() -> Log:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2) as pool:
            jobs = [loop.run_in_executor(pool, slept, 3) for _ in range(4)]
        return [now(), *await asyncio.gather(*jobs)]

    assert run(main) == [6, 3, 3, 6, 6]


def test_an_executor_may_be_shut_down_while_its_threads_sleep() -> None:
    """A timeout that leaves `with ThreadPoolExecutor()` blocks the loop until the thread has ended."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2) as pool, pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.run_in_executor(pool, time.sleep, 3), 1)
        return now()

    assert run(main) == 3


# -- cancellation, closing ---------------------------------------------------------------------------


def test_a_cancelled_wait_lets_its_thread_go_on() -> None:
    """Cancelling an await of to_thread drops the result; the run still waits, in virtual time."""
    log: Log = []

    def thread() -> None:
        time.sleep(10)
        log.append(now())
        time.sleep(10)
        log.append(now())
        raise ValueError("nobody sees this")

    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(thread), 1)
        return now()

    began = time.perf_counter()
    assert run(main) == 1
    assert log == [10, 20]
    assert time.perf_counter() - began < 1


def test_a_cancelled_job_that_waits_for_a_place_never_begins() -> None:
    """A call that is cancelled while its pool is full is dropped, and its place goes to the next."""

    async def main() -> Log:
        log: Log = []
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            jobs = [loop.run_in_executor(pool, after, 1, log.append, name) for name in range(4)]
            await asyncio.sleep(0.5)
            jobs[1].cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        return [*log, now()]

    assert run(main) == [0, 2, 3, 3]


def test_closing_a_loop_wakes_its_sleeping_threads() -> None:
    """A thread that sleeps on a loop which is closed gets an error, and ends."""
    errors: Log = []

    def thread() -> None:
        try:
            time.sleep(1000)
        except RuntimeError as error:
            errors.append(str(error))

    pool = ThreadPoolExecutor(2)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            loop.run_in_executor(pool, thread)
        await asyncio.sleep(1)

    run(main)
    pool.shutdown()
    assert len(errors) == 2
    assert "stopped" in errors[0]


def test_a_loop_may_be_closed_right_after_a_job_was_handed_over() -> None:
    """A run that ends at once leaves neither a thread nor a pool that cannot be shut down."""
    pool = ThreadPoolExecutor(2)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(5):
            loop.run_in_executor(pool, lambda: None)

    run(main)
    pool.shutdown()


def test_a_run_within_a_worker_thread_has_its_own_time() -> None:
    """run() in a thread starts at 0, and the outer clock stands still meanwhile."""

    async def inner() -> float:
        return await asyncio.to_thread(slept, 100)

    def thread() -> Log:
        time.sleep(1)
        return [now(), run(inner), now(), slept(1)]

    async def main() -> Log:
        other = asyncio.create_task(asyncio.sleep(50))
        result = await asyncio.to_thread(thread)
        other.cancel()
        return [*result, now()]

    assert run(main) == [1, 100, 1, 2, 2]


# -- anyio -------------------------------------------------------------------------------------------


def test_anyio_threads_live_in_virtual_time() -> None:
    """anyio's own worker threads sleep, work and call back on the loop's clock."""

    def thread() -> Log:
        log: Log = [slept(1)]
        anyio.from_thread.run(anyio.sleep, 2)
        log.append(now())
        log.append(anyio.from_thread.run_sync(now))
        hashlib.pbkdf2_hmac("sha256", b"", b"", 20_000)
        really_wait()
        return [*log, slept(3)]

    async def main() -> Log:
        with anyio.fail_after(60):
            first = await anyio.to_thread.run_sync(thread)
            await anyio.sleep(100 - now() + 7)  # longer than anyio keeps an idle thread
            return first + await anyio.to_thread.run_sync(thread)

    with pytest.raises(TimeoutError):
        run(main)

    async def twice() -> Log:
        first = await anyio.to_thread.run_sync(thread)
        await anyio.sleep(94)  # longer than anyio keeps an idle thread
        return first + await anyio.to_thread.run_sync(thread)

    assert run(twice) == [1, 3, 3, 6, 101, 103, 103, 106]


def test_anyio_threads_respect_a_capacity_limiter() -> None:
    """Four blocking calls under a limiter of two take two waves, and a timeout cuts the second."""

    async def main() -> Log:
        log: Log = []
        limiter = anyio.CapacityLimiter(2)

        async def call() -> None:
            log.append(await anyio.to_thread.run_sync(slept, 1, limiter=limiter))

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(call)
        with anyio.move_on_after(0.5) as scope:
            await anyio.to_thread.run_sync(slept, 1, abandon_on_cancel=True)
        return [*log, scope.cancelled_caught, now()]

    assert run(main) == [1, 1, 2, 2, True, 2.5]


def test_an_anyio_blocking_portal_works() -> None:
    """A thread that owns no loop calls into this one by a portal."""

    async def main() -> Log:
        async with anyio.from_thread.BlockingPortal() as portal:

            def thread() -> float:
                portal.call(anyio.sleep, 5)
                return now()

            result = await asyncio.to_thread(thread)
        return [result, now()]

    assert run(main) == [5, 5]


# -- what threads share ------------------------------------------------------------------------------


def worker_pair(first: Callable[[], Any], second: Callable[[], Any]) -> Log:
    async def main() -> Log:
        return [
            *await asyncio.gather(asyncio.to_thread(first), asyncio.to_thread(second)),
            now(),
        ]

    return run(main)


def test_a_queue_between_threads() -> None:
    """A consumer blocked in Queue.get goes on when the producer, after its sleep, puts."""
    items: queue.Queue[float] = queue.Queue(1)

    def produce() -> None:
        for _ in range(3):
            items.put(slept(1))

    def consume() -> Log:
        got = []
        for _ in range(3):
            got.append((items.get(), now()))
            time.sleep(1.5)
        return got

    assert worker_pair(produce, consume) == [None, [(1, 1), (2, 2.5), (3, 4)], 5.5]


def test_an_event_and_a_condition_between_threads() -> None:
    """Event.wait and Condition.wait end at the instant of the signal."""
    event, condition = threading.Event(), threading.Condition()

    def waiting() -> Log:
        event.wait()
        woken = now()
        with condition:
            condition.wait()
        return [woken, now()]

    def signalling() -> None:
        time.sleep(1)
        event.set()
        time.sleep(1)
        with condition:
            condition.notify_all()

    assert worker_pair(waiting, signalling) == [[1, 2], None, 2]


@pytest.mark.parametrize("make", [threading.Semaphore, threading.Lock, threading.RLock])
def test_a_lock_held_over_a_sleep(make: Callable[[], threading.Lock]) -> None:
    """Three threads that hold a lock over a second of sleep follow each other."""
    lock = make()

    def holder() -> float:
        with lock:
            return slept(1)

    async def main() -> Log:
        other = asyncio.create_task(asyncio.to_thread(slept, 1.5))
        return [*await asyncio.gather(*(asyncio.to_thread(holder) for _ in range(3))), await other]

    assert run(main) == [1, 2, 3, 1.5]


def test_a_lock_that_a_task_holds_over_an_await() -> None:
    """A thread blocked on a plain Lock lets the loop go on to the task that holds it."""

    async def main() -> float:
        lock = threading.Lock()

        async def holder() -> None:
            with lock:
                await asyncio.sleep(1)

        def thread() -> float:
            with lock:
                return now()

        holding = asyncio.create_task(holder())
        await asyncio.sleep(0)
        result = await asyncio.to_thread(thread)
        await holding
        return result

    assert run(main) == 1


def test_a_simple_queue_from_the_loop_to_a_thread() -> None:
    """A thread blocked in SimpleQueue.get lets the loop go on to what will put."""

    async def main() -> Log:
        items: queue.SimpleQueue[str] = queue.SimpleQueue()
        got = asyncio.create_task(asyncio.to_thread(lambda: (items.get(), now())))
        await asyncio.sleep(2)
        items.put("item")
        return list(await got)

    assert run(main) == ["item", 2]


def test_a_thread_may_wait_for_the_loop() -> None:
    """run_coroutine_threadsafe(...).result() in a worker waits in virtual time."""

    async def main() -> Log:
        loop = asyncio.get_running_loop()

        async def answer() -> float:
            await asyncio.sleep(4)
            return now()

        def thread() -> Log:
            time.sleep(1)
            future: Future[float] = asyncio.run_coroutine_threadsafe(answer(), loop)
            return [future.result(), now()]

        return await asyncio.to_thread(thread)

    assert run(main) == [5, 5]


def test_a_thread_may_wait_for_another_pool() -> None:
    """A worker that joins a thread, or a pool's future, waits for real while the clock stands still."""

    def thread() -> Log:
        began = now()
        helper = threading.Thread(target=really_wait)
        helper.start()
        helper.join()
        with ThreadPoolExecutor(1) as pool:
            return [pool.submit(lambda: really_wait(result=7)).result(), now() - began]

    async def main() -> Log:
        return await asyncio.to_thread(thread)

    assert run(main) == [7, 0]


# -- strangers: threads that no executor of the loop has started --------------------------------------


def test_a_thread_of_ones_own_may_call_the_loop() -> None:
    """A plain thread, in real time, brings its result by call_soon_threadsafe: no false deadlock."""

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()

        def stranger() -> None:
            really_wait(1.2)
            loop.call_soon_threadsafe(future.set_result, "brought")

        threading.Thread(target=stranger).start()
        return await future

    assert run(main) == "brought"


def test_a_pool_that_was_there_before_may_call_the_loop() -> None:
    """A thread that is older than the loop may still bring something."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()

        async def main() -> Any:
            return await asyncio.wrap_future(pool.submit(lambda: really_wait(result="brought")))

        assert run(main) == "brought"


def test_a_thread_with_a_copied_context_shares_the_clock() -> None:
    """A plain thread that runs in a copy of the context sleeps in virtual time."""

    async def main() -> Log:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()

        def stranger() -> None:
            time.sleep(5)
            time.sleep(5)
            loop.call_soon_threadsafe(future.set_result, now())

        threading.Thread(target=contextvars.copy_context().run, args=(stranger,)).start()
        return [await future, now()]

    assert run(main) == [10, 10]


def test_a_blocking_client_in_a_thread_reaches_a_server_on_the_loop() -> None:
    """A thread in a real socket call is served by the loop that waits for it."""

    async def main() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()
            await writer.wait_closed()

        def client(address: tuple[str, int]) -> bytes:
            with socket.create_connection(address) as connection:
                connection.sendall(b"hello\n")
                return connection.recv(100)

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            return await asyncio.to_thread(client, server.sockets[0].getsockname())

    assert run(main) == b"hello\n"


def test_a_pool_that_the_program_makes_lives_in_virtual_time() -> None:
    """`submit`, `map`, `as_completed` and `with`, from the loop and from a thread: so many at a time."""

    def mapped() -> Log:
        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(slept, [1] * 7, timeout=5))

    async def main() -> Log:
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(slept, 1) for _ in range(4)]
            awaited = [await asyncio.wrap_future(future) for future in futures]
            ended = [future.result() for future in as_completed(pool.submit(slept, n) for n in (3, 1, 2))]
        return [awaited, ended, await asyncio.to_thread(mapped), now()]

    log = [[1, 1, 2, 2], [3, 5, 5], [6, 6, 6, 7, 7, 7, 8], 8]
    assert [run(main) for _ in range(5)] == [log] * 5


def test_a_pool_serves_a_loop_factory_too() -> None:
    """Leaving a pool's `with` on a loop that `run` has not made waits for its jobs all the same."""

    async def main() -> Log:
        with ThreadPoolExecutor(1) as pool:
            futures = [pool.submit(slept, 1) for _ in range(2)]
        return [future.result() for future in futures]

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(main()) == [1, 2]


def test_a_pool_whose_threads_cannot_begin() -> None:
    """An initializer that fails breaks the pool, and nobody waits for it."""

    async def main() -> None:
        with ThreadPoolExecutor(1, initializer=raising, initargs=(ValueError(),)) as pool:
            await asyncio.get_running_loop().run_in_executor(pool, slept, 1)

    with pytest.raises(BrokenExecutor):
        run(main)


@pytest.mark.parametrize("threaded", [False, True])
def test_threads_that_the_program_starts_live_in_virtual_time(threaded: bool) -> None:
    """`Thread`, `Timer` and `join`, with and without a timeout, from the loop and from a thread."""

    def program() -> Log:
        log: Log = []
        threads: list[threading.Thread] = [threading.Timer(n, log.append, [n]) for n in (3, 1, 2)]
        for thread in threads:
            thread.start()
        threads[0].join(1.5)
        log.append((now(), threads[0].is_alive()))
        for thread in threads:
            thread.join()
        return [*log, now()]

    async def main() -> Log:
        return await asyncio.to_thread(program) if threaded else program()

    assert [run(main) for _ in range(5)] == [[1, (1.5, True), 2, 3, 3]] * 5


def test_waits_with_a_timeout_take_virtual_time() -> None:
    """Event.wait, Queue.get and Future.result with a timeout end at its instant, or at the signal's."""

    def waiting(items: queue.Queue[int]) -> Log:
        log: Log = [threading.Event().wait(1.25), now()]
        try:
            while True:
                log.append((items.get(timeout=0.75), now()))
        except queue.Empty:
            return [*log, now()]

    async def main() -> Log:
        items: queue.Queue[int] = queue.Queue()
        waiter = asyncio.create_task(asyncio.to_thread(waiting, items))
        for number in range(3):
            await asyncio.sleep(0.75)
            items.put(number)
        log = await waiter
        with ThreadPoolExecutor(1) as pool, pytest.raises(TimeoutError):
            pool.submit(slept, 5).result(timeout=1)
        return [*log, now()]

    assert run(main) == [False, 1.25, (0, 1.25), (1, 1.5), (2, 2.25), 3, 8]


def test_the_end_of_a_run_ends_threads_that_sleep() -> None:
    """A thread that would sleep for ever ends quietly with its clock; one that waits can still be woken."""
    event, log = threading.Event(), Log()

    def for_ever() -> None:
        while True:
            time.sleep(1)

    def waiting() -> None:
        event.wait()
        log.append("woken")

    async def main() -> None:
        threads = [threading.Thread(target=for_ever), threading.Thread(target=waiting)]
        for thread in threads:
            thread.start()
        log.extend(threads)
        await asyncio.sleep(2.5)

    run(main)
    asleep, waits = log
    asleep.join(5)
    assert [asleep.is_alive(), waits.is_alive()] == [False, True]
    event.set()
    waits.join(5)
    assert log[2:] == ["woken"]


def test_a_loop_that_blocks_itself_for_ever_is_a_deadlock() -> None:
    """A wait in the loop's own thread that nothing can end is a DeadlockError, too."""

    async def main() -> None:
        asyncio.get_running_loop().call_later(1, event.set)  # the loop is blocked: it never comes to this
        event.wait()

    event = threading.Event()
    with pytest.raises(DeadlockError):
        run(main)


def test_threads_that_wait_for_ever_are_a_deadlock() -> None:
    """A worker blocked for good is a DeadlockError, not a hang."""
    release = threading.Event()

    async def main() -> None:
        await asyncio.to_thread(release.wait)

    try:
        with pytest.raises(DeadlockError):
            run(main)
    finally:
        release.set()


# -- alarms ------------------------------------------------------------------------------------------


def test_an_alarm_ends_a_sleep_at_the_instant_of_the_ring() -> None:
    """ring() from the loop wakes a worker thread; the next sleep of the same alarm is whole again."""

    async def main() -> Log:
        alarm = Alarm()

        def thread() -> Log:
            alarm.sleep(100)
            woken = now()
            alarm.sleep(100)
            return [woken, now()]

        sleeping = asyncio.create_task(asyncio.to_thread(thread))
        await asyncio.sleep(3)
        alarm.ring()
        return [*await sleeping, now()]

    assert run(main) == [3, 103, 103]


def test_an_alarm_rings_from_thread_to_thread() -> None:
    """A thread's ring ends another thread's sleep."""
    alarm = Alarm()

    def ringing() -> None:
        time.sleep(3)
        alarm.ring()

    def sleeping() -> float:
        alarm.sleep(100)
        return now()

    assert worker_pair(sleeping, ringing) == [3, None, 3]


def test_an_alarm_ends_the_sleep_of_a_blocked_loop() -> None:
    """A thread's ring ends a sleep that blocks the loop's own thread."""

    async def main() -> Log:
        alarm = Alarm()
        ringing = asyncio.create_task(asyncio.to_thread(after, 3, alarm.ring))
        await asyncio.sleep(0)
        alarm.sleep(100)
        log = [now()]
        await ringing
        alarm.sleep(10)
        return [*log, now()]

    assert run(main) == [3, 13]


@pytest.mark.parametrize("threaded", [False, True])
def test_a_ring_before_the_sleep_counts(threaded: bool) -> None:
    """An alarm that has rung already ends the next sleep at once, as on the wall clock."""

    def rung() -> float:
        alarm = Alarm()
        alarm.ring()
        alarm.sleep(100)
        return now()

    async def main() -> float:
        return await asyncio.to_thread(rung) if threaded else rung()

    assert run(main) == 0


def test_a_ring_that_crosses_the_sleep_counts() -> None:
    """A ring that the loop was asked for just before the thread sleeps ends that sleep."""

    async def main() -> float:
        alarm = Alarm()
        loop = asyncio.get_running_loop()

        def thread() -> float:
            loop.call_soon_threadsafe(alarm.ring)
            alarm.sleep(100)
            return now()

        return await asyncio.to_thread(thread)

    for _ in range(50):
        assert run(main) == 0


def test_an_alarm_on_the_wall_clock() -> None:
    """Outside a virtual run an alarm sleeps for real, and rings across threads."""
    alarm = Alarm()
    began = time.perf_counter()
    alarm.sleep(0.01)
    assert time.perf_counter() - began >= 0.01
    threading.Thread(target=alarm.ring).start()
    alarm.sleep(20)
    assert time.perf_counter() - began < 10


def test_timelines_are_read_from_threads() -> None:
    """A timeline shows one time to the loop and to its threads."""
    line = Timeline()

    async def main() -> Log:
        before = line.now()
        inside = await asyncio.to_thread(lambda: slept(2) and line.now())
        return [before, inside, line.now()]

    assert run(main) == [0, 2, 2]


def test_a_timeline_of_a_run_may_be_read_in_a_thread_first() -> None:
    """A timeline that the loop has made, and only its thread reads, is on the loop's clock."""

    async def main() -> float:
        line = Timeline()
        return await asyncio.to_thread(lambda: slept(2) and line.now())

    assert run(main) == 2


# -- the same every time -----------------------------------------------------------------------------

MIXTURE = """
import asyncio, queue, random, threading, time
from concurrent.futures import ThreadPoolExecutor
from workbench.clock import now, run


async def main():
    log, got, lock, items = [], [], threading.Lock(), queue.Queue()
    loop = asyncio.get_running_loop()

    def thread(name):
        for turn in range(4):
            with lock:
                log.append((now(), name, turn, random.random()))
            time.sleep(random.choice((0.25, 0.5, 1)))
            items.put(name)
        # Threads that are woken together run together: each has an instant of its own here.
        pause = 0.25 + (1 + len(name) + int(name[-1])) / 64
        asyncio.run_coroutine_threadsafe(asyncio.sleep(pause), loop).result()
        log.append((now(), name, "ends"))
        return name

    async def task(name):
        try:
            for turn in range(6):
                async with asyncio.timeout(random.choice((0.5, 1.5))):
                    await asyncio.sleep(random.choice((0.25, 0.75, 1)))
                log.append((now(), name, turn))
        except (TimeoutError, asyncio.CancelledError) as error:
            log.append((now(), name, type(error).__name__))
            raise

    def consumer():
        for _ in range(10):
            got.append((items.get(), now()))

    with ThreadPoolExecutor(3) as pool:
        work = [asyncio.create_task(task(f"task {n}")) for n in range(8)]
        work += [loop.run_in_executor(pool, thread, f"pool {n}") for n in range(5)]
        work += [asyncio.create_task(asyncio.to_thread(thread, f"thread {n}")) for n in range(5)]
        work += [asyncio.create_task(asyncio.to_thread(consumer))]
        loop.call_later(1, work[0].cancel)
        loop.call_later(1.25, work[15].cancel)
        results = await asyncio.gather(*work, return_exceptions=True)
    return repr((log, got, results, now()))
"""


def test_a_mixture_of_everything_runs_the_same_way_twenty_times() -> None:
    """Tasks, threads, pools, queues, timeouts and cancellations: twenty runs, one log."""
    namespace: dict[str, Any] = {}
    exec(MIXTURE, namespace)
    assert len({run(namespace["main"]) for _ in range(20)}) == 1


def test_a_mixture_of_everything_runs_the_same_way_in_any_process() -> None:
    """Two processes with different hash seeds log the same."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", MIXTURE + "print(run(main))"],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=30,
        )
        for seed in ("1", "2")
    ]
    assert outputs[0].stdout == outputs[1].stdout
    assert "ends" in outputs[0].stdout, outputs[0].stderr


def test_a_thread_runs_on_by_itself_after_calling_the_loop() -> None:
    """What a thread does after call_soon_threadsafe comes before the loop's answer, every time."""

    async def main() -> Log:
        log: Log = []
        loop = asyncio.get_running_loop()

        def thread() -> None:
            for turn in range(20):
                loop.call_soon_threadsafe(log.append, ("loop", turn))
                sum(range(2000))
                log.append(("thread", turn))
                time.sleep(1)

        await asyncio.to_thread(thread)
        return log

    expected = [(who, turn) for turn in range(20) for who in ("thread", "loop")]
    assert [run(main) for _ in range(5)] == [expected] * 5


def test_sleeping_for_ever_is_refused() -> None:
    """A blocking sleep without an end is an error, as time.sleep's own, and not a jump to it."""

    async def main() -> None:
        with pytest.raises(OverflowError):
            time.sleep(math.inf)
        with pytest.raises(OverflowError):
            await asyncio.to_thread(time.sleep, math.inf)
        assert now() == 0

    run(main)

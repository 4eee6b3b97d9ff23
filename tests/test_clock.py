"""Virtual time in one thread: the loop, its timers, what runs on it, and `run`."""

# ruff: noqa: ASYNC110, ASYNC251 - polling and blocking the loop are what is tested here
# ruff: noqa: PT012 - the block is the program that shall raise

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import math
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, cast

import aiolimiter
import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench import clock
from workbench.clock import DeadlockError, Timeline, VirtualTimeLoop, now, run

REAL_SLEEP = time.sleep
NS = 1_000_000_000
Log = list[Any]

pytestmark = pytest.mark.usefixtures("no_hang")


def loop_now() -> VirtualTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30
    )


# -- instants -----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**15), max_size=20))
def test_a_sleep_moves_the_clock_by_exactly_its_nanoseconds(delays: list[int]) -> None:
    """After any sleeps the clock reads the sum of their whole nanoseconds."""

    async def main() -> float:
        for delay in delays:
            await asyncio.sleep(delay / NS)
        return loop_now().time()

    assert run(main) == sum(delays) / NS


def test_a_long_time_takes_no_time() -> None:
    """A year of sleeps is over in an instant of real time."""
    began = time.perf_counter()
    run(lambda: asyncio.sleep(365 * 24 * 3600))
    assert time.perf_counter() - began < 1


def test_float_sums_meet_at_one_instant() -> None:
    """0.1 + 0.2 and 0.3, which differ as floats, are one instant."""

    async def main() -> Log:
        log: Log = []
        loop = loop_now()
        loop.call_later(0.1 + 0.2, log.append, "sum")
        loop.call_later(0.3, log.append, "literal")
        loop.call_at(0.1 + 0.2, log.append, "at")
        await asyncio.sleep(0.3)
        return [*log, loop.time()]

    assert run(main) == ["sum", "literal", "at", 0.3]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=40))
def test_timers_fire_by_instant_then_in_the_order_in_which_they_were_set(
    timers: list[tuple[bool, int]],
) -> None:
    """call_later and call_at together: earlier instants first, equal ones first in, first out."""

    async def main() -> Log:
        loop = loop_now()
        log: Log = []
        await asyncio.sleep(1)
        for index, (absolute, delay) in enumerate(timers):
            if absolute:
                loop.call_at(1 + delay, log.append, (delay, index))
            else:
                loop.call_later(delay, log.append, (delay, index))
        await asyncio.sleep(6)
        return log

    assert run(main) == sorted((delay, index) for index, (_, delay) in enumerate(timers))


@settings(max_examples=300, deadline=None)
@given(
    st.floats(0, 1e11, allow_subnormal=True),
    st.floats(min_value=0, max_value=1e9, exclude_min=True, allow_subnormal=True),
)
@example(1e9, 1e-9)
@example(2**53 / NS, 1e-9)
@example(0.0, 5e-324)
@example(1e11, 1e-5)
def test_sleeping_for_what_is_left_ends(start: float, delay: float) -> None:
    """`while time() < deadline: sleep(deadline - time())` ends in a few rounds, at any time of the day."""

    async def main() -> int:
        loop = loop_now()
        await asyncio.sleep(start)
        deadline = loop.time() + delay
        rounds = 0
        while loop.time() < deadline:
            await asyncio.sleep(deadline - loop.time())
            rounds += 1
        return rounds

    assert run(main) <= 3


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_timer_never_fires_before_its_own_time_by_more_than_rounding(start: float, delay: float) -> None:
    """When a timer fires, the clock reads its time to half a nanosecond or one float's spacing."""

    async def main() -> float:
        loop = loop_now()
        await asyncio.sleep(start)
        when = loop.time() + delay
        await asyncio.sleep(delay)
        return abs(loop.time() - when) - math.ulp(when)

    assert run(main) <= 1e-9


@pytest.mark.parametrize("delay", [1e-300, 1e-12, 4e-10])
def test_the_smallest_delay_is_a_nanosecond(delay: float) -> None:
    """A positive delay below a nanosecond still lets time go on."""

    async def main() -> float:
        await asyncio.sleep(delay)
        return loop_now().time()

    assert run(main) == 1e-9


@pytest.mark.parametrize("delay", [0, -1, -math.inf, 1e-400])
def test_no_delay_moves_no_time(delay: float) -> None:
    """A delay of nothing, or less, runs at this instant and in order."""

    async def main() -> Log:
        loop = loop_now()
        log: Log = []
        await asyncio.sleep(2)
        loop.call_later(delay, log.append, "later")
        loop.call_at(2 + delay, log.append, "at")
        loop.call_later(1e-9, log.append, "after")
        await asyncio.sleep(1)
        return log

    assert run(main) == ["later", "at", "after"]


def test_infinity_is_never() -> None:
    """A timer at infinity neither fires nor keeps the loop from seeing a deadlock."""

    async def main() -> float:
        loop = loop_now()
        loop.call_later(math.inf, pytest.fail)
        loop.call_at(math.inf, pytest.fail).cancel()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.sleep(math.inf)
        return loop.time()

    assert run(main) == 3
    with pytest.raises(DeadlockError):
        run(lambda: asyncio.sleep(math.inf))


def test_nan_is_an_error() -> None:
    """A delay that is not a number raises at once, in the loop and for a blocking sleep."""

    async def main() -> None:
        with pytest.raises(ValueError, match="NaN"):
            await asyncio.sleep(math.nan)
        with pytest.raises(ValueError, match="NaN"):
            time.sleep(math.nan)

    run(main)


def test_cancelled_timers_do_not_pile_up() -> None:
    """A hundred thousand timeouts that never fire leave a heap of about a hundred entries."""

    async def main() -> int:
        loop, largest = loop_now(), 0
        for _ in range(10_000):
            handles = [loop.call_later(3600, pytest.fail) for _ in range(10)]
            for handle in handles:
                handle.cancel()
            largest = max(largest, len(loop._timers))
        return largest

    assert run(main) <= 250


def test_a_cancelled_timer_moves_no_time() -> None:
    """Time does not go to a timer that was cancelled, whether at the head of the heap or in its middle."""

    async def main() -> float:
        loop = loop_now()
        handles = [loop.call_later(delay, pytest.fail) for delay in (1, 2, 3, 9)]
        loop.call_later(1, handles[1].cancel)
        loop.call_later(1, handles[2].cancel)
        handles[0].cancel()
        handles[3].cancel()
        handles[3].cancel()
        await asyncio.sleep(2.5)
        return loop.time()

    assert run(main) == 2.5


def test_a_timer_can_cancel_its_neighbour() -> None:
    """A callback that cancels another timer of the same instant is obeyed."""

    async def main() -> None:
        loop = loop_now()
        timers: list[asyncio.TimerHandle] = []
        loop.call_later(1, lambda: timers[0].cancel())
        timers.append(loop.call_later(1, pytest.fail))
        await asyncio.sleep(2)

    run(main)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=400))
@example([(delay, delay % 3 > 0) for delay in range(1, 50)] * 8)
def test_purging_keeps_the_timers_that_are_left(timers: list[tuple[int, bool]]) -> None:
    """However many timers are cancelled, the others fire, each once and in order."""

    async def main() -> Log:
        loop = loop_now()
        log: Log = []
        handles = [loop.call_later(delay, log.append, (delay, i)) for i, (delay, _) in enumerate(timers)]
        for handle, (_, cancelled) in zip(handles, timers, strict=True):
            if cancelled:
                handle.cancel()
        await asyncio.sleep(50)
        await asyncio.sleep(0)
        return log

    kept = [(delay, i) for i, (delay, cancelled) in enumerate(timers) if not cancelled]
    assert run(main) == sorted(kept)


# -- at one instant ----------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 1.5])
def test_a_task_that_polls_sees_its_timer_come(delay: float) -> None:
    """`while not done: await sleep(0)` ends when a timer sets it, as it does in reality."""

    async def main() -> None:
        log: Log = []
        loop_now().call_later(delay, log.append, 1)
        while not log:
            await asyncio.sleep(0)

    run(main)


def test_much_work_at_one_instant_takes_no_time() -> None:
    """A long chain of hand-overs is not taken for polling: no timeout fires meanwhile."""

    async def main() -> float:
        ping: asyncio.Queue[int] = asyncio.Queue()
        pong: asyncio.Queue[int] = asyncio.Queue()

        async def echo() -> None:
            while True:
                await pong.put(await ping.get())

        echoing = asyncio.create_task(echo())
        async with asyncio.timeout(10):
            for number in range(30_000):
                await ping.put(number)
                assert await pong.get() == number
        echoing.cancel()
        return loop_now().time()

    assert run(main) == 0


def test_new_tasks_at_one_instant_take_no_time() -> None:
    """Tasks started and awaited one after another are not taken for polling."""

    async def nothing() -> None:
        pass

    async def main() -> float:
        async with asyncio.timeout(10):
            for _ in range(30_000):
                await asyncio.create_task(nothing())
        return loop_now().time()

    assert run(main) == 0


# -- asyncio's own parts -----------------------------------------------------------------------------


def test_timeouts_fire_at_their_instant() -> None:
    """asyncio.timeout, timeout_at, a rescheduled one and wait_for: each at its own time."""

    async def main() -> Log:
        log: Log = []
        for limit in (asyncio.timeout(2), asyncio.timeout_at(3)):
            with pytest.raises(TimeoutError):
                async with limit:
                    await asyncio.sleep(60)
            log.append(now())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1) as scope:
                scope.reschedule(now() + 4)
                await asyncio.Event().wait()
        log.append(now())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(60), 0.5)
        log.append(now())
        assert await asyncio.wait_for(asyncio.sleep(0.5, "in time"), 0.5 + 1e-9) == "in time"
        return log

    assert run(main) == [2, 3, 7, 7.5]


def test_a_timeout_set_before_wins_a_tie() -> None:
    """A sleep that would end at its timeout's instant is cut off by it."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.sleep(1)
        assert now() == 1

    run(main)


def test_a_task_group_cancels_the_others_at_the_failure() -> None:
    """The first error in a TaskGroup cancels its siblings at that instant."""

    async def main() -> Log:
        log: Log = []

        async def sleeper(delay: float) -> None:
            try:
                await asyncio.sleep(delay)
            finally:
                log.append((delay, now()))

        async def failing() -> None:
            await asyncio.sleep(2)
            raise ValueError("two")

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                for delay in (1, 5, 3):
                    group.create_task(sleeper(delay))
                group.create_task(failing())
        assert isinstance(caught.value.exceptions[0], ValueError)
        return sorted(log)

    assert run(main) == [(1, 1), (3, 2), (5, 2)]


CANCELLATIONS = """
import asyncio
from workbench.clock import run

async def main():
    log = []

    async def sleeper(name):
        try:
            await asyncio.sleep(9)
        finally:
            log.append(name)

    async def failing():
        await asyncio.sleep(1)
        raise ValueError

    try:
        async with asyncio.TaskGroup() as group:
            for name in range(30):
                group.create_task(sleeper(name))
            group.create_task(failing())
    except* ValueError:
        pass
    return log

first, second = run(main), run(main)
assert first == second
print(first)
"""


def test_tasks_are_cancelled_in_the_same_order_in_every_process() -> None:
    """A TaskGroup holds its tasks in a set; the order in which it cancels them is the same anyway."""
    logs = {python(CANCELLATIONS, PYTHONHASHSEED=str(seed)).stdout for seed in range(4)}
    assert len(logs) == 1
    assert logs.pop()


def test_a_semaphore_is_fair() -> None:
    """Four holders of two places for a second each: two waves, in the order of arrival."""

    async def main() -> Log:
        log: Log = []
        places = asyncio.Semaphore(2)

        async def holder(name: int) -> None:
            async with places:
                await asyncio.sleep(1)
                log.append((name, now()))

        await asyncio.gather(*map(holder, range(4)))
        return log

    assert run(main) == [(0, 1), (1, 1), (2, 2), (3, 2)]


def test_a_bounded_queue_couples_producer_and_consumer() -> None:
    """A queue of one place lets its producer go on when the slower consumer takes an item."""

    async def main() -> Log:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        log: Log = []

        async def produce() -> None:
            for item in range(3):
                await queue.put(item)
                log.append(("put", item, now()))

        producing = asyncio.create_task(produce())
        for _ in range(3):
            await asyncio.sleep(1)
            log.append(("got", await queue.get(), now()))
            queue.task_done()
        await queue.join()
        await producing
        return log

    assert run(main) == [
        ("put", 0, 0),
        ("got", 0, 1),
        ("put", 1, 1),
        ("got", 1, 2),
        ("put", 2, 2),
        ("got", 2, 3),
    ]


def test_conditions_events_locks_and_barriers_wake_at_the_instant_of_the_signal() -> None:
    """Whoever waits for a Condition, an Event, a Lock or a Barrier goes on when it is released."""

    async def main() -> Log:
        condition, event, lock = asyncio.Condition(), asyncio.Event(), asyncio.Lock()
        barrier = asyncio.Barrier(2)
        log: Log = []

        async def wait(name: str, entered: Callable[[], Awaitable[object]]) -> None:
            await entered()
            log.append((name, now()))

        async def notified() -> None:
            async with condition:
                await condition.wait()

        await lock.acquire()
        async with asyncio.TaskGroup() as group:
            group.create_task(wait("condition", notified))
            group.create_task(wait("event", event.wait))
            group.create_task(wait("lock", lock.acquire))
            group.create_task(wait("barrier", barrier.wait))
            await asyncio.sleep(1)
            async with condition:
                condition.notify_all()
            await asyncio.sleep(1)
            event.set()
            await asyncio.sleep(1)
            lock.release()
            await asyncio.sleep(1)
            await barrier.wait()
        return log

    assert run(main) == [("condition", 1), ("event", 2), ("lock", 3), ("barrier", 4)]


def test_gather_as_completed_and_wait_see_virtual_time() -> None:
    """gather keeps the order of its arguments, as_completed that of time, wait its timeout."""

    async def main() -> None:
        assert await asyncio.gather(*(asyncio.sleep(d, d) for d in (3, 1, 2))) == [3, 1, 2]
        ended = [await f for f in asyncio.as_completed([asyncio.sleep(d, d) for d in (3, 1, 2)])]
        assert ended == [1, 2, 3]
        tasks = [asyncio.create_task(asyncio.sleep(d)) for d in (1, 5)]
        done, pending = await asyncio.wait(tasks, timeout=2)
        assert (len(done), len(pending), now()) == (1, 1, 8)
        await asyncio.wait(pending)
        assert now() == 11

    run(main)


def test_context_variables_are_kept() -> None:
    """Tasks and timers see the context in which they were made."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def main() -> Log:
        log: Log = []
        loop = loop_now()
        variable.set("main")
        loop.call_later(1, lambda: log.append(variable.get()))
        loop.call_soon(lambda: log.append(variable.get()))
        empty = contextvars.Context()
        loop.call_at(2, lambda: log.append(variable.get()), context=empty)
        loop.call_soon(lambda: log.append(variable.get()), context=empty)

        async def child() -> None:
            await asyncio.sleep(3)
            log.append(variable.get())
            variable.set("child")

        await asyncio.create_task(child())
        return [*log, variable.get()]

    assert run(main) == ["main", "none", "main", "none", "main", "main"]
    assert variable.get() == "none"


def test_an_abandoned_generator_is_closed_by_the_end_of_the_run() -> None:
    """An async generator left in the middle has its finally run, in virtual time."""
    log: Log = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in itertools.count():
                yield number
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(5)
            log.append(now())

    async def main() -> None:
        generator = numbers()
        async for number in generator:
            if number == 2:
                break
        keep.append(generator)

    keep: Log = []
    run(main)
    assert log == [7]


def test_debug_mode_works() -> None:
    """A loop in asyncio's debug mode keeps the same time."""

    async def main() -> float:
        assert loop_now().get_debug()
        async with asyncio.timeout(5):
            await asyncio.sleep(2)
        return loop_now().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop, debug=True) as runner:
        assert runner.run(main()) == 2


def test_real_sockets_work() -> None:
    """An echo server and its client talk over loopback while tasks sleep in virtual time."""

    async def main() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = await reader.readline()
            await asyncio.sleep(30)
            writer.write(line)
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        assert now() == 30
        return answer

    assert run(main) == b"hello\n"


def test_a_subprocess_is_waited_for() -> None:
    """While a child process runs and nothing else is left, the loop waits for it in real time."""

    async def main() -> int:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
        return await child.wait()

    assert run(main) == 7


# -- others' libraries -------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [0.1, 1 / 3, 1, 60])
@pytest.mark.parametrize("rate", [0.7, 1, 3, 7, 10])
def test_aiolimiter_neither_hangs_nor_hurries(rate: float, period: float) -> None:
    """A leaky bucket of any size lets n calls through in (n - burst) · period / rate seconds."""
    calls = 50

    async def main() -> float:
        limiter = aiolimiter.AsyncLimiter(rate, period)
        for _ in range(calls):
            await limiter.acquire(min(1, rate))
        return now()

    amount = min(1, rate)
    expected = (calls * amount - rate) * period / rate
    assert run(main) == pytest.approx(expected, abs=amount * period / rate + 1e-6)


def test_anyio_scopes_keep_virtual_time() -> None:
    """move_on_after, fail_after and current_time agree with the loop."""

    async def main() -> Log:
        log: Log = []
        with anyio.move_on_after(2) as scope:
            await anyio.sleep_forever()
        log += [scope.cancelled_caught, anyio.current_time()]
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.25):
                await anyio.sleep(1)
        log.append(now())
        with anyio.fail_after(10):
            await anyio.sleep_until(5)
        with anyio.move_on_after(math.inf):
            await anyio.sleep(1)
        return [*log, now()]

    assert run(main) == [True, 2, 2.25, 6]


def test_anyio_task_groups_and_capacity_limiters() -> None:
    """An anyio task group of five with two places takes three waves."""

    async def main() -> Log:
        log: Log = []
        limiter = anyio.CapacityLimiter(2)

        async def job(name: int) -> None:
            async with limiter:
                await anyio.sleep(1)
                log.append((name, now()))

        async with anyio.create_task_group() as group:
            for name in range(5):
                group.start_soon(job, name)
        return log

    assert run(main) == [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3)]


# -- deadlock ----------------------------------------------------------------------------------------


def test_a_deadlock_names_each_task_and_its_line() -> None:
    """The error lists the pending tasks, each with the line of the user's code where it waits."""
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def consumer() -> int:
        return await queue.get()  # here

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(consumer(), name="consumer-1")
            group.create_task(consumer(), name="consumer-2")
            await asyncio.sleep(12.5)

    with pytest.raises(DeadlockError) as caught:
        run(main)
    code = consumer.__code__
    line = f"test_clock.py:{code.co_firstlineno + 1}: return await queue.get()  # here"
    text = str(caught.value)
    assert "t = 12.5 s" in text
    assert "3 pending task(s)" in text
    assert f"  consumer-1: {consumer.__qualname__}() at {line}\n" in text
    assert f"  consumer-2: {consumer.__qualname__}() at {line}" in text


def test_after_a_deadlock_the_tasks_clean_up() -> None:
    """The tasks of a deadlock are cancelled, and what their finally awaits still takes its time."""
    log: Log = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(3)
            log.append(now())

    with pytest.raises(DeadlockError):
        run(main)
    assert log == [3]


# -- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, SystemExit, KeyboardInterrupt])
def test_what_main_raises_reaches_the_caller(error: type[BaseException]) -> None:
    """Whatever the coroutine raises comes out of `run`, and the clock is put back."""

    async def main() -> None:
        await asyncio.sleep(1)
        raise error("reason")

    with pytest.raises(error):
        run(main)
    assert time.sleep is REAL_SLEEP


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_exit_and_interrupt_in_a_callback_end_the_run(error: type[BaseException]) -> None:
    """SystemExit and KeyboardInterrupt pass through a callback; the tasks are cancelled."""
    log: Log = []

    def callback() -> None:
        raise error

    async def main() -> None:
        loop_now().call_later(1, callback)
        try:
            await asyncio.sleep(5)
        finally:
            log.append(now())

    with pytest.raises(error):
        run(main)
    assert log == [1]


@pytest.mark.parametrize("error", [ValueError, StopIteration, asyncio.CancelledError, GeneratorExit])
def test_an_error_in_a_callback_goes_to_the_handler(error: type[BaseException]) -> None:
    """Any other exception of a callback is reported, and the loop goes on."""
    reports: Log = []

    def callback() -> None:
        raise error("reason")

    async def main() -> float:
        loop = loop_now()
        loop.set_exception_handler(lambda _, context: reports.append(context["exception"]))
        loop.call_soon(callback)
        loop.call_later(1, callback)
        await asyncio.sleep(2)
        return loop.time()

    assert run(main) == 2
    assert [type(report) for report in reports] == [error, error]


def test_a_closed_loop_says_so() -> None:
    """After the run, the loop takes no timers and no callbacks."""

    async def main() -> VirtualTimeLoop:
        return loop_now()

    loop = run(main)
    calls: list[Callable[[], object]] = [
        lambda: loop.call_soon(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.run_in_executor(None, print),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_a_loop_leaves_nothing_behind() -> None:
    """A finished run leaves no reference to its loop."""

    class Witness:
        pass

    alive: Log = []

    async def main() -> None:
        import weakref

        alive.append(weakref.ref(loop_now()))
        await asyncio.to_thread(int)
        await asyncio.sleep(1)

    run(main)
    gc.collect()
    assert alive[0]() is None


# -- blocking the loop -------------------------------------------------------------------------------


def test_a_blocking_sleep_makes_timers_late_but_keeps_their_order() -> None:
    """time.sleep in a coroutine moves the clock; the timers of that while fire after it, in order."""

    async def main() -> Log:
        loop = loop_now()
        log: Log = []

        def fire(delay: int) -> None:
            log.append((delay, loop.time()))

        for delay in (3, 1, 2, 6):
            loop.call_later(delay, fire, delay)
        time.sleep(5)
        log.append(("blocked until", loop.time()))
        await asyncio.sleep(1.5)
        return log

    assert run(main) == [("blocked until", 5), (1, 5), (2, 5), (3, 5), (6, 6)]


def test_blocking_sleeps_are_checked_like_real_ones() -> None:
    """time.sleep of nothing returns at once; of less than nothing is an error."""

    async def main() -> float:
        time.sleep(0)
        clock.sleep(0.0)
        with pytest.raises(ValueError, match="-1"):
            time.sleep(-1)
        with pytest.raises(TypeError):
            time.sleep("1")  # type: ignore[arg-type]  # the point of this line
        return now()

    assert run(main) == 0


# -- the clock's readings ----------------------------------------------------------------------------


def test_now_and_date_follow_the_current_clock() -> None:
    """`now` and `date` are virtual in a virtual run, and real elsewhere."""

    async def main() -> tuple[float, datetime]:
        await asyncio.sleep(90.5)
        return now(), clock.date()

    assert run(main) == (90.5, datetime(2025, 1, 1, 0, 1, 30, 500_000, tzinfo=UTC))
    assert abs(now() - time.monotonic()) < 1
    assert abs((clock.date() - datetime.now(UTC)).total_seconds()) < 1


def test_a_timeline_goes_on_from_clock_to_clock() -> None:
    """A timeline continues over several runs and the wall clock, and never goes back."""
    line = Timeline()

    async def main(seconds: float) -> list[float]:
        before = line.now()
        await asyncio.sleep(seconds)
        return [before, line.now()]

    readings = run(lambda: main(10))
    assert readings == [0, 10]
    readings += run(lambda: main(5))
    assert readings == [0, 10, 10, 15]
    readings += [line.now(), line.now()]
    readings += run(lambda: main(1))
    readings += run(lambda: main(0.001), virtual=False)
    assert readings == sorted(readings)
    assert readings[-1] - readings[3] < 2


def test_a_timeline_that_starts_on_the_wall_clock_starts_at_0() -> None:
    """Without a virtual clock a timeline's first reading is 0, and then real seconds."""
    line = Timeline()
    assert line.now() == 0
    assert 0 <= line.now() < 1


def test_a_timeline_in_a_run_within_a_run() -> None:
    """A nested run's seconds count from its first reading, and the outer run goes on from there."""
    line = Timeline()

    async def inner() -> float:
        line.now()
        await asyncio.sleep(7)
        return line.now()

    async def outer() -> list[float]:
        await asyncio.sleep(2)
        readings = [line.now(), run(inner), line.now()]
        await asyncio.sleep(1)
        return [*readings, line.now()]

    assert run(outer) == [2, 9, 9, 10]


# -- run ---------------------------------------------------------------------------------------------


def test_run_takes_a_function_or_a_coroutine() -> None:
    """A coroutine function and a coroutine both run, on a clock that starts at 0."""

    async def main() -> float:
        return now()

    assert run(main) == run(main()) == 0


@pytest.mark.parametrize("wrong", [3, print, lambda: 3])
def test_run_refuses_what_is_no_coroutine(wrong: Any) -> None:
    """Anything else is a TypeError that shows it."""
    with pytest.raises(TypeError, match="run"):
        run(wrong)
    assert time.sleep is REAL_SLEEP


def test_run_on_the_wall_clock() -> None:
    """virtual=False is asyncio's own loop, the real time.sleep and an untouched random."""
    random.seed(5)
    expected = random.Random(5).random()

    async def main() -> None:
        assert not isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
        assert clock.virtual_loop() is None
        assert time.sleep is REAL_SLEEP
        assert random.random() == expected
        began = now()
        await asyncio.sleep(0.01)
        clock.sleep(0.01)
        assert now() - began >= 0.019

    run(main, virtual=False)


def test_a_loop_factory_for_asyncios_own_runner() -> None:
    """VirtualTimeLoop also serves asyncio.Runner, several times over."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(asyncio.sleep(3, "first")) == "first"
        assert runner.run(asyncio.sleep(4, "second")) == "second"
        assert runner.get_loop().time() == 7


def test_time_sleep_is_put_back_after_the_last_run() -> None:
    """Nested and concurrent runs share one patch, which ends with the last of them."""
    inside, leave = threading.Barrier(3), threading.Barrier(3)

    async def main() -> None:
        assert time.sleep is clock.sleep
        run(lambda: asyncio.sleep(1))
        assert time.sleep is clock.sleep
        await asyncio.to_thread(run, lambda: asyncio.sleep(1))
        assert time.sleep is clock.sleep
        inside.wait()
        leave.wait()

    threads = [threading.Thread(target=run, args=(main,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()
    assert time.sleep is clock.sleep
    began = time.perf_counter()
    time.sleep(0.01)  # this thread lives on the wall clock
    assert time.perf_counter() - began >= 0.01
    leave.wait()
    for thread in threads:
        thread.join()
    assert time.sleep is REAL_SLEEP


def test_the_global_random_is_seeded_and_put_back() -> None:
    """In a run the global random depends on the seed alone; afterwards it goes on as before."""

    async def main() -> float:
        return random.random()

    random.seed(99)
    expected = random.Random(99).random()
    assert run(main) == run(main) == random.Random(0).random()
    assert run(main, seed=7) == random.Random(7).random()
    assert random.random() == expected


def test_concurrent_runs_put_random_back() -> None:
    """Runs that overlap in two threads give back the state from before both of them."""
    state = random.getstate()
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    async def first() -> None:
        first_in.set()
        second_in.wait()

    async def second() -> None:
        second_in.set()
        first_out.wait()

    one = threading.Thread(target=run, args=(first,))
    one.start()
    first_in.wait()
    two = threading.Thread(target=run, args=(second,))
    two.start()
    one.join()
    first_out.set()
    two.join()
    assert random.getstate() == state


def test_run_inside_a_running_loop() -> None:
    """As in a notebook: the inner run has a clock of its own, the caller's context, and its errors."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def inner() -> tuple[float, str]:
        await asyncio.sleep(5)
        value = variable.get()
        variable.set("inner")
        return now(), value

    async def failing() -> None:
        raise LookupError("from within")

    async def outer() -> None:
        variable.set("outer")
        assert run(inner) == (5, "outer")
        assert variable.get() == "outer"
        with pytest.raises(LookupError, match="from within"):
            run(failing)
        with pytest.raises(SystemExit):
            run(exiting)
        with pytest.raises(DeadlockError):
            run(lambda: asyncio.Event().wait())
        with pytest.raises(TypeError):
            run(cast(Any, print))

    async def exiting() -> None:
        raise SystemExit(3)

    threads = threading.active_count()
    asyncio.run(outer())
    run(outer)
    assert threading.active_count() == threads
    assert time.sleep is REAL_SLEEP


INTERRUPT = """
import asyncio, os, select, signal, threading, time
from workbench.clock import run

def interrupt():
    select.select([], [], [], 0.05)
    os.kill(os.getpid(), signal.SIGINT)

async def main():
    threading.Thread(target=interrupt).start()
    try:
        while True:
            await asyncio.sleep(1)
    finally:
        await asyncio.sleep(1)
        print("cleaned up")

async def cell():
    run(main)

try:
    {statement}
except KeyboardInterrupt:
    print("interrupted", time.sleep.__module__, threading.active_count())
"""


@pytest.mark.parametrize("statement", ["run(main)", "asyncio.new_event_loop().run_until_complete(cell())"])
def test_an_interrupt_cancels_main_and_waits_for_its_clean_up(statement: str) -> None:
    """Ctrl-C ends a busy run after its finally, on a plain thread and within a running loop."""
    done = python(INTERRUPT.replace("{statement}", statement))
    assert done.stdout.splitlines() == ["cleaned up", "interrupted time 1"], done.stderr


# -- the whole, against a naive model ----------------------------------------------------------------


class NaiveLoop(asyncio.SelectorEventLoop):
    """The rules by themselves: all that is ready, else the earliest instant's timers as they were set."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.waiting: list[tuple[int, asyncio.TimerHandle]] = []

    def time(self) -> float:
        return self.now_ns / NS

    def call_at(  # type: ignore[override]  # one function for all callbacks
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.waiting.append((round(when * NS), handle))
        return handle

    def _run_once(self) -> None:
        this = cast(Any, self)  # its private parts are not typed
        if not this._ready and not this._stopping:
            self.waiting = [timer for timer in self.waiting if not timer[1].cancelled()]
            self.now_ns = min(when for when, _ in self.waiting)
            due = [timer for timer in self.waiting if timer[0] <= self.now_ns]
            self.waiting = [timer for timer in self.waiting if timer not in due]
            this._ready.extend(handle for _, handle in due)
        for handle in [this._ready.popleft() for _ in range(len(this._ready))]:
            if not handle.cancelled():
                handle._run()


instants = st.integers(1, 4).map(lambda tenths: tenths / 8)  # exact in float and in nanoseconds
steps: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        st.tuples(st.just("sleep"), instants | st.just(0.0)),
        st.tuples(st.just("put"), st.integers(0, 1)),
        st.tuples(st.just("get"), st.integers(0, 1), instants),
        st.tuples(st.just("hold"), instants),
        st.tuples(st.just("spawn"), st.lists(steps, max_size=4)),
        st.tuples(st.just("cancel"), st.integers(0, 5)),
        st.tuples(st.just("timeout"), instants, st.lists(steps, max_size=3)),
    )
)


async def interpret(program: list[Any]) -> Log:
    """Carry out a random program and log what happens, when, in which task."""
    loop = asyncio.get_running_loop()
    log: Log = []
    queues: list[asyncio.Queue[int]] = [asyncio.Queue(2), asyncio.Queue(2)]
    semaphore = asyncio.Semaphore(2)
    tasks: list[asyncio.Task[None]] = []

    async def body(name: int, part: list[Any]) -> None:
        for step in part:
            log.append((loop.time(), name, step[0]))
            match step:
                case ["sleep", delay]:
                    await asyncio.sleep(delay)
                case ["put", index]:
                    async with asyncio.timeout(1):
                        await queues[index].put(name)
                case ["get", index, limit]:
                    log.append(await asyncio.wait_for(queues[index].get(), limit))
                case ["hold", delay]:
                    async with semaphore:
                        await asyncio.sleep(delay)
                case ["spawn", inner]:
                    spawn(inner)
                case ["cancel", index] if index < len(tasks):
                    log.append(tasks[index].cancel())
                case ["timeout", limit, inner]:
                    async with asyncio.timeout(limit):
                        await body(name, inner)

    async def guarded(name: int, part: list[Any]) -> None:
        try:
            await body(name, part)
        except BaseException as error:
            log.append((loop.time(), name, type(error).__name__))

    def spawn(part: list[Any]) -> None:
        tasks.append(asyncio.create_task(guarded(len(tasks), part)))

    for part in program:
        spawn(part)
    while pending := [task for task in tasks if not task.done()]:
        await asyncio.wait(pending)
    return [*log, loop.time()]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(steps, max_size=6), min_size=1, max_size=5))
def test_any_program_runs_as_the_naive_model_says(program: list[Any]) -> None:
    """Random tasks, queues, semaphores, timeouts and cancellations: event for event the same."""
    with asyncio.Runner(loop_factory=NaiveLoop) as runner:
        expected = runner.run(interpret(program))
    assert run(lambda: interpret(program)) == expected

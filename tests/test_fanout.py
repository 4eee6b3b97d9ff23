"""Many calls at once: bounded, in order, and with nothing lost or left behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import fcntl
import gc
import os
import pty
import struct
import subprocess
import sys
import termios
import traceback
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any, Literal

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient

from workbench.clock import now, run
from workbench.errors import CostExceedsLimitError
from workbench.fanout import FanOut, fan_out
from workbench.limiter import RateLimiter
from workbench.messages import Completion, Usage
from workbench.tracing import recording

DURATIONS = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]), max_size=30)
OnError = Literal["raise", "return"]


async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def alone() -> bool:
    """Whether the running task is the only one."""
    await asyncio.sleep(0)
    return asyncio.all_tasks() == {asyncio.current_task()}


def failing_at(index: int, error: BaseException, log: list[Any] | None = None) -> Callable[[int], Any]:
    """A function that fails for one item after a second; the others take an hour, and say how they end."""

    async def fn(item: int) -> int:
        if item == index:
            await asyncio.sleep(1)
            raise error
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)  # a clean-up that takes its time
            if log is not None:
                log.append(item)
            raise
        return item

    return fn


# -- results -------------------------------------------------------------------------------------------


@given(DURATIONS, st.integers(1, 12))
def test_never_more_than_the_limit_in_flight_and_never_fewer_than_possible(
    durations: list[float], limit: int
) -> None:
    """At each start as many calls run as the limit and the items allow, and never one more."""
    running, peak, starts = 0, 0, list[int]()

    async def fn(item: tuple[int, float]) -> None:
        nonlocal running, peak
        starts.append(item[0])
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(item[1])
        running -= 1

    run(lambda: fan_out(fn, enumerate(durations), limit=limit))
    assert starts == list(range(len(durations)))
    assert peak <= limit
    if all(durations):
        assert peak == min(limit, len(durations))


@given(DURATIONS, st.integers(1, 12))
def test_results_are_in_the_order_of_the_items(durations: list[float], limit: int) -> None:
    """Whatever call ends first, the results stand as the items did, and each call took its own time."""
    results = run(lambda: fan_out(wait, durations, limit=limit))
    assert list(results) == results.values() == durations
    assert [outcome.duration for outcome in results.outcomes] == pytest.approx(durations)


@given(DURATIONS, st.integers(1, 12))
def test_it_takes_as_long_as_a_list_schedule(durations: list[float], limit: int) -> None:
    """A place is given to the next item at the very instant at which it gets free."""
    free = [0.0] * limit
    for duration in durations:
        free.sort()
        free[0] += duration

    async def main() -> float:
        await fan_out(wait, durations, limit=limit)
        return now()

    assert run(main) == pytest.approx(max(free))


def test_no_items_no_results() -> None:
    """An empty source gives an empty result."""
    results = run(lambda: fan_out(wait, [], limit=3))
    assert list(results) == []
    assert repr(results) == "<FanOut: 0 values, 0 errors>"
    assert results.to_frame().empty


def test_a_result_is_a_sequence_with_a_table() -> None:
    """A result has a length, items, slices, values, errors by index, and a data frame."""

    async def fn(item: int) -> int:
        await asyncio.sleep(item)
        return 10 // item

    results = run(lambda: fan_out(fn, [2, 0, 5], limit=2, on_error="return"))
    assert len(results) == 3
    assert results[0] == 5
    assert isinstance(results[1], ZeroDivisionError)
    assert isinstance(results[1:], FanOut)
    assert list(results[1:].errors()) == [1]
    assert results.values() == [5, 2]
    assert repr(results) == "<FanOut: 2 values, 1 errors>"
    frame = results.to_frame()
    assert list(frame.loc[2, ["started", "ended", "duration", "waited"]]) == [0.0, 5.0, 5.0, 0.0]
    assert frame["ok"].tolist() == [True, False, True]


# -- errors --------------------------------------------------------------------------------------------


def test_failures_as_values() -> None:
    """With on_error='return' each failure takes its result's place and nothing else is disturbed."""

    async def fn(item: int) -> int:
        await asyncio.sleep(item)
        if item % 2:
            raise ValueError(item)
        return item

    results = run(lambda: fan_out(fn, range(6), limit=2, on_error="return"))
    assert results.values() == [0, 2, 4]
    assert {index: repr(error) for index, error in results.errors().items()} == {
        index: f"ValueError({index})" for index in (1, 3, 5)
    }


@pytest.mark.parametrize("on_error", ["raise", "return"])
@pytest.mark.parametrize(
    "error", [ValueError("no"), ExceptionGroup("several", [ValueError("a"), TypeError("b")])]
)
def test_the_error_is_itself(error: Exception, on_error: OnError) -> None:
    """The very exception arrives, in no group of ours, be it a group of its own."""
    calls = lambda: fan_out(failing_at(0, error), [0], limit=3, on_error=on_error)  # noqa: E731
    if on_error == "return":
        assert run(calls)[0] is error
    else:
        with pytest.raises(type(error)) as caught:
            run(calls)
        assert caught.value is error


def test_the_first_error_cancels_the_rest_and_waits_for_them() -> None:
    """Others are cancelled in order, clean up to the end, no further item is taken, no task is left."""
    cleaned: list[int] = []
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    async def main() -> tuple[float, bool]:
        with pytest.raises(ValueError, match="no"):
            await fan_out(failing_at(2, ValueError("no"), cleaned), items(), limit=5)
        return now(), await alone()

    assert run(main) == (1.5, True)
    assert cleaned == [0, 1, 3, 4]
    assert taken == [0, 1, 2, 3, 4]


def test_the_first_error_in_time_is_raised() -> None:
    """Of several errors the first is raised, even if others follow in the clean-up or at the same instant."""

    async def fn(item: int) -> None:
        try:
            await asyncio.sleep(5 - item)
        finally:
            raise ValueError(item)

    with pytest.raises(ValueError, match="4"):
        run(lambda: fan_out(fn, range(5), limit=5))


def test_an_error_ends_a_fan_out_that_waits_for_its_next_item() -> None:
    """A failure is not held up by an async source that has nothing to give at the moment."""

    async def items() -> AsyncIterator[int]:
        yield 0
        await asyncio.sleep(3600)
        yield 1

    async def main() -> float:
        with pytest.raises(ValueError, match="no"):
            await fan_out(failing_at(0, ValueError("no")), items(), limit=5)
        assert await alone()
        return now()

    assert run(main) == 1.0


def printed(fn: Callable[[int], Any], **options: Any) -> str:
    with pytest.raises(ValueError, match="bad") as caught:
        run(lambda: fan_out(fn, range(5), limit=5, **options))
    return "".join(traceback.format_exception(caught.value))


def test_the_traceback_is_clean() -> None:
    """It names the item, shows the line that failed, and no group, no cancellation, no second traceback."""

    async def fn(item: int) -> None:
        await asyncio.sleep(1)
        if item == 3:
            raise ValueError("bad")
        await asyncio.sleep(1)

    text = printed(fn)
    assert text.count("Traceback") == 1
    assert "Group" not in text
    assert "Cancelled" not in text
    assert 'raise ValueError("bad")' in text
    assert text.endswith("ValueError: bad\nraised by fan_out's call for item 3\n")
    assert text.count("workbench/fanout.py") <= 2


def test_the_error_keeps_its_own_history() -> None:
    """What an exception was raised during, or from, is still told."""

    async def fn(item: int) -> None:
        try:
            raise KeyError(item)
        except KeyError:
            raise ValueError("bad")  # noqa: B904 - the implicit context is the point

    text = printed(fn)
    assert text.count("Traceback") == 2
    assert "KeyError: 0" in text


def test_a_raised_error_is_in_no_reference_cycle() -> None:
    """When the handler is done with it, the error and its frames are freed without the collector."""

    class Bad(Exception):
        pass

    async def fn(item: int) -> None:
        raise Bad

    async def main() -> bool:
        gc.collect()
        gc.disable()
        try:
            await fan_out(fn, range(3), limit=2)
        except Bad as error:
            reference = weakref.ref(error)
        finally:
            gc.enable()
        await asyncio.sleep(0)
        return reference() is None

    assert run(main)


def test_nested_fan_outs_name_each_item_on_the_way() -> None:
    """Through several levels the error stays itself, and its notes tell the path from the inside out."""

    async def leaf(item: int) -> int:
        await asyncio.sleep(item)
        if item == 7:
            raise ValueError("bad")
        return item

    async def middle(base: int) -> list[int]:
        return (await fan_out(leaf, range(base, base + 3), limit=2)).values()

    async def top(base: int) -> list[list[int]]:
        return (await fan_out(middle, range(base, base + 4, 3), limit=2)).values()

    assert run(lambda: fan_out(top, [8, 20], limit=1)).values() == [
        [[8, 9, 10], [11, 12, 13]],
        [[20, 21, 22], [23, 24, 25]],
    ]

    async def main() -> ValueError:
        with pytest.raises(ValueError, match="bad") as caught:
            await fan_out(top, [3, 20], limit=2)
        assert await alone()
        return caught.value

    notes = [f"raised by fan_out's call for item {index}" for index in (1, 1, 0)]
    assert run(main).__notes__ == notes


@pytest.mark.parametrize("on_error", ["raise", "return"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, type("Own", (BaseException,), {})])
def test_what_is_no_exception_is_always_raised(kind: type[BaseException], on_error: OnError) -> None:
    """KeyboardInterrupt, SystemExit and their like end the fan-out, whatever `on_error` says."""
    cleaned: list[int] = []
    with pytest.raises(kind):
        run(lambda: fan_out(failing_at(0, kind(), cleaned), range(3), limit=3, on_error=on_error))
    assert sorted(cleaned) == [1, 2]


@pytest.mark.parametrize("on_error", ["raise", "return"])
@pytest.mark.parametrize("way", ["cancel", "raise"])
def test_a_call_that_cancels_itself_has_failed(way: str, on_error: OnError) -> None:
    """It is a failure of that call, never a value, and never taken for the caller's own cancellation."""

    async def fn(item: int) -> int:
        if item == 1 and way == "raise":
            raise asyncio.CancelledError
        if item == 1 and (task := asyncio.current_task()):
            task.cancel()
        await asyncio.sleep(1)
        return item

    calls = lambda: fan_out(fn, range(3), limit=3, on_error=on_error)  # noqa: E731
    if on_error == "return":
        results = run(calls)
        assert results.values() == [0, 2]
        error: BaseException = results.errors()[1]
    else:
        with pytest.raises(RuntimeError) as caught:
            run(calls)
        error = caught.value
    assert str(error) == "the call for item 1 cancelled itself"
    assert isinstance(error.__cause__, asyncio.CancelledError)


@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_a_function_that_is_not_async_is_told_so(on_error: OnError) -> None:
    """A blocking function is the caller's mistake: always raised, with what to do."""
    with pytest.raises(TypeError, match=r"needs an async function.*asyncio\.to_thread"):
        run(lambda: fan_out(abs, range(5), limit=2, on_error=on_error))  # type: ignore[arg-type]


def test_any_awaitable_will_do() -> None:
    """`fn` may return a future or a task as well."""

    def fn(item: int) -> asyncio.Task[float]:
        return asyncio.create_task(wait(item))

    assert run(lambda: fan_out(fn, [2, 1], limit=2, timeout=5)).values() == [2, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit must be a whole number of at least 1, got 0"),
        ({"limit": -3}, "limit must be a whole number of at least 1, got -3"),
        ({"limit": 1, "on_error": "ignore"}, "on_error must be 'raise' or 'return', got 'ignore'"),
    ],
)
def test_wrong_settings(options: dict[str, Any], message: str) -> None:
    """A wrong setting is refused before the first call, with its value."""
    with pytest.raises(ValueError, match=message):
        run(lambda: fan_out(wait, [1], **options))


@pytest.mark.parametrize("items", ["Paris", b"Paris"], ids=["str", "bytes"])
def test_one_string_is_not_taken_apart(items: Any) -> None:
    """A string in place of a list of strings is a mistake, not five letters."""
    with pytest.raises(TypeError, match=r"put it in a list: \[b?'Paris'\]"):
        run(lambda: fan_out(wait, items, limit=1))


# -- cancellation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 50, 500])
def test_cancelled_from_outside(count: int) -> None:
    """A cancelled fan-out cancels its calls in order, waits for their clean-up, and is itself cancelled."""
    cleaned: list[int] = []

    async def main() -> tuple[float, bool]:
        task = asyncio.create_task(fan_out(failing_at(-1, ValueError(), cleaned), range(count), limit=100))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return now(), await alone()

    assert run(main) == (1.5, True)
    assert cleaned == list(range(min(count, 100)))


def test_a_timeout_around_it() -> None:
    """asyncio.timeout around a fan-out gives TimeoutError, after the clean-up."""
    cleaned: list[int] = []

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await fan_out(failing_at(-1, ValueError(), cleaned), range(4), limit=2)
        return now()

    assert run(main) == 10.5
    assert cleaned == [0, 1]


def test_the_callers_own_cancellations_are_told_apart() -> None:
    """In a task that has swallowed a cancellation before, a call that cancels itself still has failed."""

    async def cancels_itself(item: int) -> None:
        raise asyncio.CancelledError

    async def main() -> FanOut[None]:
        task = asyncio.current_task()
        assert task
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        return await fan_out(cancels_itself, [0], limit=1, on_error="return")

    assert isinstance(run(main)[0], RuntimeError)


def test_interrupted_on_the_wall_clock() -> None:
    """Ctrl-C cancels the calls, runs their `finally`, and ends in KeyboardInterrupt."""
    code = """
import asyncio, os, signal, workbench

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins without one

async def fn(item):
    if item == 1:
        await asyncio.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)
    try:
        await asyncio.sleep(60)
    finally:
        print("cleaned", item, flush=True)

async def main():
    try:
        await workbench.fan_out(fn, range(3), limit=3)
    finally:
        print(len(asyncio.all_tasks()), flush=True)

try:
    workbench.run(main, virtual=False)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    lines = done.stdout.split("\n")
    assert sorted(lines[:3]) == ["cleaned 0", "cleaned 1", "cleaned 2"], done.stderr
    assert lines[3:5] == ["1", "interrupted"]


# -- items ---------------------------------------------------------------------------------------------


def test_an_endless_source_is_not_read_ahead() -> None:
    """The next item is taken only when there is a place for it: from a generator or an async one."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(10**9):
            taken.append(i)
            yield i

    async def async_items() -> AsyncIterator[int]:
        for i in items():
            yield i

    async def main(source: Any) -> int:
        taken.clear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(9.5):
                await fan_out(lambda item: wait(1), source, limit=4)
        return len(taken)

    assert run(lambda: main(items())) == 40
    assert run(lambda: main(async_items())) == 40


def test_a_slow_async_source() -> None:
    """Calls run while the source makes its next item."""

    async def items() -> AsyncIterator[float]:
        for _ in range(5):
            await asyncio.sleep(1)
            yield 2.0

    results = run(lambda: fan_out(wait, items(), limit=5))
    assert [outcome.started for outcome in results.outcomes] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_a_source_that_fails(on_error: OnError) -> None:
    """An error of the items' source cancels the calls and is raised as itself, whatever `on_error`."""
    cleaned: list[int] = []

    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("no more")

    async def async_items() -> AsyncIterator[int]:
        for i in items():
            yield i
            await asyncio.sleep(0)

    async def main(source: Any) -> bool:
        with pytest.raises(OSError, match="no more") as caught:
            await fan_out(failing_at(-1, ValueError(), cleaned), source, limit=5, on_error=on_error)
        assert not hasattr(caught.value, "__notes__")
        return await alone()

    assert run(lambda: main(items()))
    assert cleaned == []  # no call has begun
    assert run(lambda: main(async_items()))
    assert cleaned == [0, 1, 2]


def test_an_async_generator_is_closed_when_it_ends_early() -> None:
    """Its `finally` has run when the error arrives; it is not left to the garbage collector."""
    log: list[str] = []

    async def items() -> AsyncIterator[int]:
        try:
            for i in range(100):
                yield i
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    async def main() -> None:
        source = items()
        with pytest.raises(ValueError, match="no"):
            await fan_out(failing_at(0, ValueError("no")), source, limit=2)
        log.append("raised")

    run(main)
    assert log == ["closed", "raised"]


# -- time limits, rates, contexts ----------------------------------------------------------------------


def test_a_timeout_for_each_call() -> None:
    """A call that takes too long fails with TimeoutError; the others have their own time."""
    results = run(lambda: fan_out(wait, [1, 5, 2], limit=1, timeout=3, on_error="return"))
    assert results.values() == [1, 2]
    assert isinstance(results[1], TimeoutError)
    assert results.outcomes[1].duration == 3


def test_the_timeout_does_not_count_the_wait_for_the_rate() -> None:
    """A call that a rate holds back for minutes still has its whole timeout, and says what it waited."""
    rate = RateLimiter(rpm=1)
    results = run(lambda: fan_out(wait, [2, 2, 2], limit=3, rate=rate, timeout=3))
    assert results.values() == [2, 2, 2]
    assert [outcome.waited for outcome in results.outcomes] == [0, 60, 120]
    assert [outcome.started for outcome in results.outcomes] == [0, 60, 120]
    assert [outcome.duration for outcome in results.outcomes] == [2, 2, 2]


def usages(tokens: int) -> list[object]:
    """A result that has used so many tokens, in each form that we know."""
    usage = Usage(input_tokens=tokens // 2, output_tokens=tokens - tokens // 2)
    ours = Completion(id="1", model="m", text="", stop_reason="stop", usage=usage)
    openai = SimpleNamespace(usage=SimpleNamespace(total_tokens=tokens))
    anthropic = SimpleNamespace(usage=SimpleNamespace(input_tokens=tokens - 7, output_tokens=7))
    return [ours, openai, anthropic]


@pytest.mark.parametrize("form", range(3))
def test_an_estimate_gives_way_to_the_real_usage(form: int) -> None:
    """What an item did not use is there for the next: 60 estimated, 30 used, so the third is in time."""

    async def fn(item: int) -> object:
        return usages(30)[form]

    async def starts(cost: float) -> list[float]:
        rate = RateLimiter(tpm=60, refund=True)
        results = await fan_out(fn, range(3), limit=1, rate=rate, cost=lambda item: cost)
        return [outcome.started for outcome in results.outcomes]

    assert run(lambda: starts(60)) == pytest.approx([0, 30, 60])
    assert run(lambda: starts(30)) == pytest.approx([0, 0, 30])


def test_without_an_estimate_the_usage_is_charged_afterwards() -> None:
    """Without `cost` a call is let through, and what it has used holds the next one back."""

    async def fn(item: int) -> object:
        return usages(90)[0]

    results = run(lambda: fan_out(fn, range(3), limit=1, rate=RateLimiter(tpm=60)))
    assert [outcome.started for outcome in results.outcomes] == pytest.approx([0, 30, 120])


def test_an_item_that_costs_too_much_fails_alone() -> None:
    """A cost above the limit is that item's error; one in `cost` itself, too."""

    def cost(item: int) -> float:
        return {0: 10.0, 1: 1000.0, 2: 10.0}[item]

    rate = RateLimiter(tpm=60)
    results = run(lambda: fan_out(wait, range(4), limit=4, rate=rate, cost=cost, on_error="return"))
    assert results.values() == [0, 2]
    assert [type(error) for error in results.errors().values()] == [CostExceedsLimitError, KeyError]


VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")


def test_each_call_has_a_context_of_its_own() -> None:
    """A call sees the caller's context variables; what it sets, no other call and not the caller sees."""

    async def fn(item: int) -> str:
        seen = VARIABLE.get()
        VARIABLE.set(f"by {item}")
        await asyncio.sleep(1)
        assert VARIABLE.get() == f"by {item}"
        return seen

    async def main() -> FanOut[str]:
        VARIABLE.set("caller")
        results = await fan_out(fn, range(6), limit=2)
        assert VARIABLE.get() == "caller"
        return results

    assert list(run(main)) == ["caller"] * 6


def test_each_call_is_a_span() -> None:
    """A trace shows one span a call, with its index, under the span around the fan-out."""
    with recording() as trace:
        run(lambda: fan_out(wait, [2, 1], limit=2))
    assert [(s.name, s.attributes, s.duration) for s in trace] == [
        ("call", {"index": 0}, 2.0),
        ("call", {"index": 1}, 1.0),
    ]


# -- progress ------------------------------------------------------------------------------------------


SHOWN = """
import asyncio, workbench as wb
async def fn(item):
    await asyncio.sleep(0.15)
    return 1 // item
wb.run(lambda: wb.fan_out(fn, range(8), limit=4, on_error="return", progress=True), virtual={virtual})
"""


def on_a_terminal(code: str) -> str:
    """What a program writes to its terminal."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen([sys.executable, "-c", code], stderr=its) as process:
        os.close(its)
        written = b""
        with contextlib.suppress(OSError):  # that is how a terminal ends, on Linux
            while chunk := os.read(ours, 4096):
                written += chunk
        os.close(ours)
    assert process.returncode == 0
    return written.decode()


def test_progress_in_a_terminal() -> None:
    """On a terminal tqdm's bar runs to the end and stays."""
    text = on_a_terminal(SHOWN.format(virtual=False))
    assert "8/8" in text
    assert "failed=1" in text


def test_no_progress_where_nobody_looks() -> None:
    """In virtual time, or with standard error in a file, nothing is written."""
    assert on_a_terminal(SHOWN.format(virtual=True)) == ""
    code = SHOWN.format(virtual=False)
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr == b""


def test_progress_in_a_notebook() -> None:
    """A notebook stores one output with the final state; in virtual time there is none."""
    cell = SHOWN.replace("wb.run(lambda: ", "").replace(", virtual={virtual})", "")
    cells = [
        cell.replace("wb.fan_out", "results = await wb.fan_out"),
        "r = " + SHOWN.format(virtual=True).strip().splitlines()[-1],
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"].startswith("8/8 done, 1 failed, 0.")
    assert output.data["text/html"].count("✓") == 7
    assert notebook.cells[1].outputs == []

"""Spans: they nest wherever code goes, and cost nothing where nobody records."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from workbench.clock import run, sleep
from workbench.tracing import Trace, current_span, recording, span


def parents(trace: Trace) -> dict[str, str | None]:
    """The name of each span's parent, by the span's name."""
    names = {record.number: record.name for record in trace}
    return {record.name: names.get(record.parent or 0) for record in trace}


def test_spans_nest_and_tell_their_times() -> None:
    """A span knows its parent, its start and end on the current clock, and what it was given."""

    async def main() -> None:
        with span("outer", model="m") as outer:
            await asyncio.sleep(1)
            with span("inner"):
                await asyncio.sleep(2)
            outer.attributes["tokens"] = 7

    with recording() as trace:
        run(main)
    assert [(s.number, s.parent, s.name, s.start, s.end) for s in trace] == [
        (1, None, "outer", 0.0, 3.0),
        (2, 1, "inner", 1.0, 3.0),
    ]
    assert trace[0].attributes == {"model": "m", "tokens": 7}
    assert trace[1].duration == 2.0
    assert len(trace[:1]) == 1
    assert repr(trace) == "<Trace: 2 spans>"
    assert repr(trace[1]) == "<span 2: 'inner', 2.000 s>"


def test_a_table_of_spans() -> None:
    """The data frame has one row a span; parents are integers or missing."""
    with recording() as trace, span("a", k=1), span("b"):
        running = trace.to_frame()
    frame = trace.to_frame()
    assert list(frame.index) == [1, 2]
    assert list(frame.columns) == [
        "parent",
        "name",
        "start",
        "end",
        "duration",
        "self_time",
        "critical",
        "error",
        "attributes",
    ]
    assert str(frame["parent"].dtype) == "Int64"
    assert frame["parent"].isna().tolist() == [True, False]
    assert running["end"].isna().all()
    with recording() as empty:
        pass
    assert empty.to_frame().empty


def test_an_attribute_may_have_any_name() -> None:
    """`name` and `self` are names of attributes like others."""
    with recording() as trace, span("a", name="x", self="y"):
        pass
    assert trace[0].attributes == {"name": "x", "self": "y"}


def test_errors_are_recorded_and_pass_through() -> None:
    """A span that ends by an exception says which, cancellation included, and the exception goes on."""

    async def main() -> None:
        with pytest.raises(KeyError), span("outer"), span("inner"):
            raise KeyError("x")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                with span("slow"):
                    await asyncio.sleep(5)
        with span("fine"):
            pass

    with recording() as trace:
        run(main)
    assert [s.error for s in trace] == ["KeyError", "KeyError", "CancelledError", None]
    assert trace[2].end == 1


def test_tasks_inherit_their_span_and_keep_theirs_apart() -> None:
    """A task's spans lie in the span in which it was started; those of two tasks do not mix."""

    async def work(name: str) -> None:
        with span(name):
            await asyncio.sleep(1)
            with span(f"{name}.inner"):
                await asyncio.sleep(1)

    async def main() -> None:
        with span("group"):
            async with asyncio.TaskGroup() as group:
                group.create_task(work("a"))
                group.create_task(work("b"))
        with span("after"):
            pass

    with recording() as trace:
        run(main)
    assert parents(trace) == {
        "group": None,
        "a": "group",
        "b": "group",
        "a.inner": "a",
        "b.inner": "b",
        "after": None,
    }


def test_threads() -> None:
    """asyncio.to_thread keeps the span and its clock; a bare executor starts with none."""

    def work(name: str) -> None:
        with span(name):
            sleep(1)

    async def main() -> None:
        with span("outer"):
            await asyncio.to_thread(work, "inner")
            with ThreadPoolExecutor(1) as pool:
                await asyncio.get_running_loop().run_in_executor(pool, work, "lost")

    before = time.monotonic()
    with recording() as trace:
        run(main)
        with span("after"):
            pass
    assert parents(trace) == {"outer": None, "inner": "outer", "after": None}
    assert (trace[1].start, trace[1].end) == (0.0, 1.0)
    assert trace[2].start >= before


def test_many_threads_give_each_span_a_number_of_its_own() -> None:
    """Spans of threads that really run at the same time are all there, each with its number."""

    def work() -> None:
        for _ in range(300):
            with span("x"):
                pass

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(work) for _ in range(8)))

    with recording() as trace:
        run(main, virtual=False)
    assert sorted(s.number for s in trace) == list(range(1, 2401))


async def stream(log: list[str] | None = None) -> AsyncIterator[int]:
    with span("stream"):
        try:
            for i in range(3):
                with span(f"piece {i}"):
                    await asyncio.sleep(1)
                yield i
        finally:
            if log is not None:
                log.append("closed")


def test_an_async_generator_that_is_read_to_its_end() -> None:
    """What comes after a generator with a span in it is not inside that span."""

    async def main() -> None:
        with span("request"):
            async for _ in stream():
                pass
            with span("after"):
                pass

    with recording() as trace:
        run(main)
    assert parents(trace)["stream"] == "request"
    assert parents(trace)["piece 2"] == "stream"
    assert parents(trace)["after"] == "request"


@pytest.mark.parametrize("how", ["dropped", "closed", "closed by another task"])
def test_an_async_generator_that_is_left_early(how: str) -> None:
    """Its span ends, without an error, and neither it nor its closing disturbs the spans around."""
    log: list[str] = []

    async def close(source: AsyncIterator[int]) -> None:
        with span("closer"):
            await source.aclose()  # type: ignore[attr-defined]  # a generator
            with span("in closer"):
                pass

    async def main() -> None:
        with span("request"):
            source = stream(log)
            async for _ in source:
                break
            if how == "closed":
                await source.aclose()  # type: ignore[attr-defined]  # a generator
            elif how == "closed by another task":
                await asyncio.create_task(close(source))
            del source
            gc.collect()
            await asyncio.sleep(1)
            with span("after"):
                await asyncio.sleep(1)

    with recording() as trace:
        run(main)
    assert log == ["closed"]
    spans = {s.name: s for s in trace}
    assert parents(trace)["after"] == "request"
    assert spans["stream"].error is None
    assert spans["stream"].end == (1.0 if how.startswith("closed") else spans["stream"].end)
    assert all(s.end is not None for s in trace)
    if how == "closed by another task":
        assert parents(trace)["in closer"] == "closer"


def test_spans_that_overlap_crosswise() -> None:
    """A generator's span that ends while its consumer is in a span of its own does not end that one."""

    async def main() -> None:
        source = stream()
        await anext(source)
        with span("work"):
            await source.aclose()  # type: ignore[attr-defined]  # a generator
            with span("in work"):
                pass
        with span("after"):
            pass

    with recording() as trace:
        run(main)
    assert parents(trace)["in work"] == "work"
    assert parents(trace)["after"] is None


def test_nothing_is_recorded_outside() -> None:
    """Without recording() a span works, is not kept, and is nobody's current span."""
    with span("before", a=1) as record:
        assert current_span() is None
        assert (record.number, record.parent, record.attributes) == (0, None, {"a": 1})
        assert math.isnan(record.duration)
    with recording() as trace:
        pass
    with span("after"):
        pass
    assert len(trace) == 0


def test_who_outlives_the_block_begins_no_new_spans() -> None:
    """A task that runs on after the block ends its open span, and what it begins is not recorded."""

    async def main() -> Trace:
        async def background() -> None:
            with span("long"):
                await asyncio.sleep(10)
                with span("late"):
                    pass

        with recording() as trace:
            task = asyncio.create_task(background())
            await asyncio.sleep(1)
        await task
        return trace

    (only,) = run(main)
    assert (only.name, only.end) == ("long", 10.0)


def test_a_recording_inside_another() -> None:
    """The inner recording has its own spans; after it the outer one goes on where it was."""
    with recording() as outer, span("a"):
        with recording() as inner, span("b"):
            current = current_span()
        with span("c"):
            pass
    assert parents(outer) == {"a": None, "c": "a"}
    assert parents(inner) == {"b": None}
    assert current is inner[0]


def test_a_part_is_recorded_afterwards() -> None:
    """It lies in the span that it was added to, or in the innermost one around that which is still open."""

    async def main() -> None:
        with span("outer"):
            with span("inner") as inner:
                await asyncio.sleep(2)
                inner.add("early", 0, 1, k=1)
            inner.add("late", 1, 2)

    with recording() as trace:
        run(main)
    trace[0].add("after", 2, 3)
    with span("elsewhere") as unrecorded:
        unrecorded.add("nowhere", 0, 1)
    assert parents(trace) == {"outer": None, "inner": "outer", "early": "inner", "late": "outer"}
    assert [(s.start, s.end, s.attributes) for s in trace[2:]] == [(0, 1, {"k": 1}), (1, 2, {})]


def test_one_request_of_many() -> None:
    """`within` gives a span and what is inside it at any depth, and nothing of its neighbours."""
    with recording() as trace:
        for name in "ab":
            with span(name), span(f"{name}.1"), span(f"{name}.2"):
                pass
    assert [record.name for record in trace.within(4)] == ["b", "b.1", "b.2"]
    assert trace.within(99) == []


def test_the_current_span() -> None:
    """It is the innermost open one; at the top of a recording there is none."""
    with recording() as trace:
        assert current_span() is None
        with span("a") as a:
            assert current_span() is a is trace[0]
        assert current_span() is None


def test_clocks_change_between_runs() -> None:
    """One recording may see several runs, each on a clock of its own, and code without a loop."""

    async def main() -> None:
        await asyncio.sleep(5)
        with span("x"):
            await asyncio.sleep(1)

    with recording() as trace:
        run(main)
        run(main)
        with span("no loop"):
            pass
    assert [(s.start, s.end) for s in trace[:2]] == [(5.0, 6.0)] * 2
    assert trace[2].duration >= 0


def test_clocks_change_within_a_recording() -> None:
    """A run inside a running loop, and threads in it, have their own clocks; then the first goes on."""

    def mark(name: str) -> None:
        with span(name):
            pass

    async def outside() -> None:
        mark("wall")

    async def inside() -> None:
        await asyncio.sleep(5)
        await asyncio.to_thread(mark, "virtual")
        await asyncio.to_thread(asyncio.run, outside())
        mark("virtual")

    async def main() -> None:
        await outside()
        run(inside)
        await outside()

    with recording() as trace:
        mark("wall")
        run(main, virtual=False)
    starts = {name: [s.start for s in trace if s.name == name] for name in ("wall", "virtual")}
    assert starts["virtual"] == [5.0, 5.0]
    assert starts["wall"] == sorted(starts["wall"])
    assert len(starts["wall"]) == 4
    assert time.monotonic() >= starts["wall"][-1]

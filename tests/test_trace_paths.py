"""Where the time went: self times and the critical path, against traces whose answer is known."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.clock import run
from workbench.fanout import fan_out
from workbench.tracing import Trace, recording, span
from workbench.tracing.paths import critical_path

Tree = tuple[int, tuple["Tree", ...]]  # how long, and what is in it: all at once


async def sleep(name: str, seconds: float) -> None:
    with span(name):
        await asyncio.sleep(seconds)


def path(trace: Trace) -> list[tuple[str, float, float]]:
    return [(record.name, start, end) for record, start, end in critical_path(trace)]


def test_what_ran_beside_the_slowest_is_not_on_the_path() -> None:
    """Of two parallel stages only the slower one counts, and the rest is the span's own."""

    async def main() -> None:
        with span("answer"):
            await asyncio.sleep(1)
            await asyncio.gather(sleep("fast", 1), sleep("slow", 3))
            await sleep("last", 2)

    with recording() as trace:
        run(main)
    assert path(trace) == [("answer", 0, 1), ("slow", 1, 4), ("last", 4, 6)]
    frame = trace.to_frame().set_index("name")
    assert frame["critical"].to_dict() == {"answer": 1, "fast": 0, "slow": 3, "last": 2}
    assert frame["self_time"].to_dict() == {"answer": 1, "fast": 1, "slow": 3, "last": 2}


def test_a_bounded_fan_out_waits_for_its_places() -> None:
    """With two places the path goes through the calls that each freed the place of the next."""

    async def main() -> None:
        with span("all"):
            await fan_out(lambda seconds: sleep(f"{seconds}", seconds), [4, 1, 2, 3], limit=2)

    with recording() as trace:
        run(main)
    assert [name for name, _, _ in path(trace)] == ["1", "2", "3"]


def test_a_part_that_outlasts_its_span() -> None:
    """Background work counts for as long as the span around it ran."""

    async def main() -> None:
        with span("request"):
            task = asyncio.create_task(sleep("background", 10))
            await asyncio.sleep(2)
        await task

    with recording() as trace:
        run(main)
    assert path(trace) == [("background", 0, 2)]
    assert trace.to_frame()["self_time"].tolist() == [0, 10]


trees = st.recursive(
    st.tuples(st.integers(0, 5), st.just(())),
    lambda inner: st.tuples(st.integers(0, 5), st.lists(inner, max_size=4).map(tuple)),
    max_leaves=12,
)


@given(st.lists(trees, min_size=1, max_size=3))
def test_the_path_is_as_long_as_the_trace(forest: list[Tree]) -> None:
    """For whatever trees of parallel work, the pieces of a path join from its root's start to its end."""

    async def work(name: str, tree: Tree) -> None:
        with span(name):
            await asyncio.sleep(tree[0])
            await asyncio.gather(*(work(f"{name}.{i}", part) for i, part in enumerate(tree[1])))

    async def main() -> None:
        for number, tree in enumerate(forest):
            await work(str(number), tree)

    with recording() as trace:
        run(main)
    pieces = path(trace)
    assert sum(end - start for _, start, end in pieces) == sum(s.duration for s in trace if s.parent is None)
    assert all(first[2] == second[1] for first, second in pairwise(pieces))
    frame = trace.to_frame()
    assert (frame["critical"] <= frame["self_time"] + 1e-9).all()


def test_nothing_has_no_path() -> None:
    """Neither has a span that still runs."""
    with recording() as trace, span("open"):
        assert critical_path(trace) == []
        assert trace.to_frame()["self_time"].isna().all()


def test_a_deep_trace() -> None:
    """A trace may be deeper than Python's stack."""
    with recording() as trace:
        stack = [span("x").__enter__() for _ in range(3000)]
        for record in reversed(stack):
            record.__exit__(None, None, None)  # type: ignore[attr-defined]  # it is the span itself
    assert len(critical_path(trace)) >= 1
    assert trace.to_frame()["critical"].sum() == pytest.approx(trace[0].duration)

"""Panes and the frames that tell a page of them: machines without a clock, whatever is lost on the way."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.board_page import Page
from workbench.events import (
    CitationDelta,
    Event,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from workbench.messages import Citation, Usage
from workbench.progress import LOOKS, State
from workbench.widgets.frames import Frames
from workbench.widgets.pane import ENDED, NEXT, Pane

# -- one stream ---------------------------------------------------------------------------------------


def sent(*events: Event, gap: float = 0.5) -> Pane:
    pane = Pane("why?")
    pane.send(1.0)
    for count, event in enumerate(events, 1):
        pane.take(event, 1.0 + gap * count)
    return pane


def test_the_figures_of_a_stream() -> None:
    """TTFT counts from the sending, the rate from the first token to the latest; usage has the last word."""
    started = Started(id="x", model="m")
    pane = sent(started, *(TextDelta(text=text) for text in "abc"))
    assert (pane.text, pane.tokens, pane.ttft, pane.rate) == ("abc", 3, 1.0, 2.0)
    pane.take(Finished(stop_reason="stop", usage=Usage(output_tokens=5)), 9.0)
    pane.finish("done", 9.0)
    assert (pane.tokens, pane.rate, pane.last, pane.ended) == (5, 4.0, 3.0, 9.0)


def test_no_figure_is_made_up() -> None:
    """Before the first token there is no TTFT, before the second no rate."""
    pane = sent(Started(id="x", model="m"))
    assert (pane.ttft, pane.rate, pane.tokens) == (None, None, 0)
    pane.take(TextDelta(text="a"), 2.0)
    assert (pane.ttft, pane.rate, pane.tokens) == (1.0, None, 1)


def test_what_is_text() -> None:
    """Refusals and tool calls are text, thinking and citations are not; thinking counts as tokens."""
    cited = Citation(start=0, end=1, document=0, cited_text="x", source_start=0)
    pane = sent(
        ThinkingDelta(text="hm"),
        RefusalDelta(text="No."),
        CitationDelta(citation=cited),
        ToolCallDelta(index=0, id="1", name="add"),
        ToolCallDelta(index=0, arguments='{"a":'),
        ToolCallDelta(index=0, arguments="1}"),
        ToolCallDelta(index=1, id="2", name="stop"),
    )
    assert pane.text == 'No.\n⚙ add {"a":1}\n⚙ stop '
    assert pane.tokens == 6
    assert sent(ToolCallDelta(index=0, id="1", name="add")).text == "⚙ add "


def test_a_new_attempt_begins_where_the_last_one_ended() -> None:
    """A failed stream that is sent again is retrying until something comes; its text begins anew."""
    pane = sent(TextDelta(text="a😀"))
    pane.finish("failed", 2.0, "ServerError: overloaded")
    pane.send(3.0)
    assert (pane.state, pane.attempts, pane.text, pane.error, pane.tokens) == ("retrying", 2, "", "", 0)
    assert (pane.begin, pane.end, pane.ended) == (3, 3, None)  # an emoji is two for a page
    pane.take(Started(id="x", model="m"), 4.0)
    assert pane.state == "running"


def test_the_table_of_states() -> None:
    """Every state has a look and its successors; what the table does not allow is an error."""
    assert set(NEXT) == set(LOOKS) == set(get_args(State))
    pane = sent()
    pane.finish("done", 2.0)
    with pytest.raises(ValueError, match=r"the stream 'why\?' is done, and cannot become running"):
        pane.move("running")


@pytest.mark.parametrize("wrong", ["text", None, object()])
def test_what_is_no_event(wrong: object) -> None:
    """Anything else than an event is refused, with where events come from."""
    with pytest.raises(TypeError, match=r"provider\.stream\(request\), and got"):
        sent().take(wrong, 2.0)  # type: ignore[arg-type]


def test_a_title_is_a_string() -> None:
    """Another title is refused at once, not when a page is told of it."""
    with pytest.raises(TypeError, match="a stream's title must be a string, got 7"):
        Pane(7)  # type: ignore[arg-type]


# -- what a page is told ------------------------------------------------------------------------------

PIECES = st.text(st.sampled_from("ab \n→😀"), min_size=1, max_size=5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 5), PIECES),
        st.tuples(
            st.sampled_from(["add", "send", "limit", "done", "failed"]), st.integers(0, 5), st.just("")
        ),
        st.tuples(st.sampled_from(["frame", "lost"]), st.just(0), st.just("")),
    ),
    max_size=60,
)
Step = tuple[str, int, str]


class Run:
    """Some panes, the frames about them and the page that gets these, or not."""

    def __init__(self) -> None:
        self.panes = [Pane("first")]
        self.frames, self.page = Frames(self.panes), Page()
        self.now = 0.0

    def do(self, step: Step) -> None:
        kind, index, piece = step
        pane = self.panes[index % len(self.panes)]
        self.now += 1
        if kind == "add" and len(self.panes) < 6:
            self.panes.append(Pane(f"pane {len(self.panes)}"))
        elif kind == "send" and pane.state in ("queued", "failed"):
            pane.send(self.now)
        elif kind == "take" and pane.state in ("running", "retrying"):
            pane.take(TextDelta(text=piece), self.now)
        elif kind == "limit":
            pane.max_tokens = 100
        elif kind in ("done", "failed") and kind in NEXT[pane.state]:
            pane.finish(kind, self.now)
        elif kind in ("frame", "lost"):
            self.tick(lost=kind == "lost")

    def tick(self, *, lost: bool = False) -> set[int]:
        frame = self.frames.next()
        return set() if frame is None or lost else self.page.apply(frame)

    def right(self) -> bool:
        return all(self.page.shows(index, pane) for index, pane in enumerate(self.panes))


@given(STEPS)
def test_a_page_that_asks_knows_everything(steps: list[Step]) -> None:
    """Whatever was lost, the frame after a page's "all" makes it show what is there."""
    run = Run()
    for step in steps:
        run.do(step)
    run.frames.want()
    assert run.tick() == set()
    assert run.right()


@given(STEPS)
def test_a_page_knows_what_it_lacks(steps: list[Step]) -> None:
    """A page that asks only for what it finds missing has every text, and knows which have ended."""
    run = Run()
    for step in steps:
        run.do(step)
    run.frames.want(run.page.apply({**(run.frames.next() or {}), "sum": run.frames.sum()}))
    assert run.page.apply({**(run.frames.next() or {}), "sum": run.frames.sum()}) == set()
    for index, pane in enumerate(run.panes):
        assert run.page.text(index) == pane.text
        assert (run.page.panes[index]["state"] in ENDED) == (pane.state in ENDED)


@given(STEPS)
def test_a_page_that_cannot_ask_gets_all_in_turn(steps: list[Step]) -> None:
    """Without a question, time alone makes a page right; then nothing more is sent."""
    run = Run()
    for step in steps:
        run.do(step)
    for _ in range(20 * (len(run.panes) + 1)):
        run.tick()
    assert run.right()
    assert [run.frames.next() for _ in range(60)] == [None] * 60


@given(STEPS)
def test_a_page_never_shows_what_was_not_said(steps: list[Step]) -> None:
    """At every moment each text in the page is the beginning of an attempt's text."""
    run = Run()
    said: dict[int, list[str]] = {}
    for step in steps:
        run.do(step)
        for index, pane in enumerate(run.panes):
            texts = said.setdefault(index, [""])
            if pane.text.startswith(texts[-1]):
                texts[-1] = pane.text
            else:
                texts.append(pane.text)
        for index in run.page.panes:
            assert any(text.startswith(run.page.text(index)) for text in said[index])


def test_frames_cost_what_is_new() -> None:
    """A piece is sent once, figures seldom, and nothing where nothing has happened."""
    pane = Pane("why?", 500)
    frames = Frames([pane])
    pane.send(0.0)
    assert frames.next() == {
        "panes": [[0, "why?", 500]],
        "marks": [[0, "running", 0, None, 0, 0, None, ""]],
    }
    assert frames.next() is None
    told = []
    for count in range(17):
        pane.take(TextDelta(text="ab"), 1 + count / 10)
        told.append(frames.next() or {})
    assert [frame["text"] for frame in told] == [[[0, 2 * count, "ab"]] for count in range(17)]
    assert [count for count, frame in enumerate(told) if "marks" in frame] == [0, 3, 6, 9, 12, 15]
    assert [count for count, frame in enumerate(told) if "panes" in frame] == []


def test_the_first_token_and_each_state_are_told_at_once() -> None:
    """A change of state, the TTFT and a new attempt do not wait for the next figures."""
    pane = Pane("why?")
    frames = Frames([pane])
    frames.next()
    pane.send(0.0)
    assert "marks" in (frames.next() or {})
    pane.take(TextDelta(text="a"), 1.0)
    assert (frames.next() or {})["marks"] == [[0, "running", 0, 1.0, 1, 1, None, ""]]
    pane.finish("failed", 2.0, "LookupError: x")
    pane.send(3.0)
    pane.take(TextDelta(text="b"), 4.0)
    frame = frames.next() or {}
    assert frame["marks"] == [[0, "running", 1, 1.0, 2, 1, None, "attempt 2"]]
    assert frame["text"] == [[0, 1, "b"]]


def test_a_piece_that_comes_twice_is_shown_once() -> None:
    """Frames that come again change nothing."""
    pane = Pane("why?")
    frames, page = Frames([pane]), Page()
    pane.send(0.0)
    told = []
    for count in range(3):
        pane.take(TextDelta(text=f"{count}😀"), 1.0)
        told.append(frames.next() or {})
    for frame in (*told, *told):
        page.apply({name: entries for name, entries in frame.items() if name != "marks"})
    assert page.text(0) == pane.text == "0😀1😀2😀"


def test_a_wrong_wish_does_no_harm() -> None:
    """A page may ask for panes that there are not."""
    frames = Frames([Pane("why?")])
    frames.want([5, -1])
    assert (frames.next() or {})["panes"] == [[0, "why?", None]]

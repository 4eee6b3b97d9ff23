"""A stream of events and the answer it says are the same thing."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from workbench.events import (
    Accumulator,
    CitationDelta,
    Event,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    split,
)
from workbench.messages import Citation, Completion, ToolCall, Usage

EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
CALLS = st.builds(ToolCall, id=st.text(min_size=1), name=st.text(min_size=1), arguments=st.text())
COUNT = st.integers(0, 99)
USAGES = st.builds(
    Usage,
    input_tokens=COUNT,
    output_tokens=COUNT,
    cached_tokens=COUNT,
    cache_write_tokens=COUNT,
    thinking_tokens=COUNT,
)
COMPLETIONS = st.builds(
    Completion,
    id=st.text(),
    model=st.text(),
    text=st.text(),
    thinking=st.text(),
    signature=st.text(),
    tool_calls=st.lists(CALLS, max_size=3).map(tuple),
    stop_reason=st.sampled_from(["stop", "length", "tool_calls", "refusal", "pause", "context_window"]),
    stop_sequence=st.none() | st.text(),
    usage=USAGES,
)


@st.composite
def cited(draw: st.DrawFn) -> Completion:
    """An answer whose text rests on documents, here and there."""
    said = draw(COMPLETIONS.filter(lambda completion: completion.stop_reason != "refusal"))
    ends = sorted(draw(st.sets(st.integers(1, max(1, len(said.text))))) if said.text else [])
    citations = [
        Citation(start=start, end=end, document=document, cited_text="x", source_start=2)
        for start, end in zip([0, *ends], ends, strict=False)
        for document in range(draw(st.integers(0, 2)))
    ]
    return said.model_copy(update={"citations": tuple(citations)})


@given(COMPLETIONS | cited())
def test_what_is_split_accumulates_to_the_same(completion: Completion) -> None:
    """Any answer, said token by token, is put together as it was."""
    accumulator = Accumulator()
    for event in split(completion):
        accumulator.add(event)
    assert accumulator.completion() == completion
    assert accumulator.text == completion.text


@given(COMPLETIONS | cited())
def test_events_survive_json(completion: Completion) -> None:
    """The union is told apart by `type`: each event is read back as what it was."""
    events = list(split(completion))
    assert [EVENTS.validate_json(EVENTS.dump_json(event)) for event in events] == events


@given(COMPLETIONS, st.data())
def test_no_answer_before_the_end(completion: Completion, data: st.DataObject) -> None:
    """A stream that has not finished has no whole answer, but keeps its text."""
    events = list(split(completion))
    cut = data.draw(st.integers(0, len(events) - 1))
    accumulator = Accumulator()
    for event in events[:cut]:
        accumulator.add(event)
    with pytest.raises(ValueError, match="not finished"):
        accumulator.completion()
    assert completion.text.startswith(accumulator.text)


def strand(event: Event) -> object:
    """What an event must keep its order with: the same call, or the text, its refusal and its citations."""
    if isinstance(event, ToolCallDelta):
        return event.index
    return "text" if isinstance(event, TextDelta | RefusalDelta | CitationDelta) else "thinking"


@given(COMPLETIONS | cited(), st.randoms(use_true_random=False))
def test_strands_may_be_interleaved(completion: Completion, random: Random) -> None:
    """Text, thinking and any number of calls may take turns in any way: the answer is the same."""
    started, *deltas, finished = split(completion)
    strands: dict[object, list[Event]] = {}
    for event in deltas:
        strands.setdefault(strand(event), []).append(event)
    accumulator = Accumulator()
    accumulator.add(started)
    while strands:
        chosen = random.choice(list(strands))
        accumulator.add(strands[chosen].pop(0))
        strands = {name: events for name, events in strands.items() if events}
    accumulator.add(finished)
    assert accumulator.completion() == completion


@pytest.mark.parametrize(
    "fragments",
    [
        pytest.param([("a", "f", ""), (None, None, "{}")], id="as both providers do"),
        pytest.param([("a", "f", "{}")], id="all at once"),
        pytest.param([(None, None, "{"), ("a", "f", "}")], id="late"),
        pytest.param([("a", "f", "{"), ("a", "f", "}")], id="again and again"),
        pytest.param([("a", "f", "{"), ("", "", "}")], id="empty after the first"),
        pytest.param([("a", "f", "{"), ("b", "g", "}")], id="others after the first"),
    ],
)
def test_id_and_name_may_come_with_any_fragment(fragments: list[tuple[str | None, str | None, str]]) -> None:
    """A call has the first id and name that come, whenever that is."""
    accumulator = Accumulator()
    accumulator.add(Started(id="1", model="m"))
    for identity, name, arguments in fragments:
        accumulator.add(ToolCallDelta(index=0, id=identity, name=name, arguments=arguments))
    accumulator.add(Finished(stop_reason="tool_calls"))
    assert accumulator.completion().tool_calls == (ToolCall(id="a", name="f", arguments="{}"),)


def test_a_call_may_have_no_arguments() -> None:
    """A call of which only the name has come has empty arguments: no JSON, and nothing is made up."""
    accumulator = Accumulator()
    for event in (Started(id="1", model="m"), ToolCallDelta(index=3, id="a", name="f")):
        accumulator.add(event)
    accumulator.add(Finished(stop_reason="tool_calls"))
    assert accumulator.completion().tool_calls == (ToolCall(id="a", name="f", arguments=""),)


def test_calls_are_told_apart_by_their_index() -> None:
    """Fragments of two calls may alternate, and the calls come in the order of their index."""
    accumulator = Accumulator()
    for event in (
        Started(id="1", model="m"),
        ToolCallDelta(index=1, id="b", name="second", arguments="{"),
        ToolCallDelta(index=0, id="a", name="first"),
        ToolCallDelta(index=1, arguments="}"),
        ToolCallDelta(index=0, arguments="[]"),
        Finished(stop_reason="tool_calls"),
    ):
        accumulator.add(event)
    assert accumulator.completion().tool_calls == (
        ToolCall(id="a", name="first", arguments="[]"),
        ToolCall(id="b", name="second", arguments="{}"),
    )


def test_events_cannot_be_changed() -> None:
    """An event is immutable: the same one may stand in many streams."""
    with pytest.raises(ValidationError, match="frozen"):
        TextDelta(text="a").text = "b"

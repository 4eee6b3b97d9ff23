"""A stream of events and the answer it says are the same thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from workbench.events import Accumulator, Event, Finished, Started, TextDelta, ToolCallDelta, split
from workbench.messages import Completion, ToolCall, Usage

EVENTS: TypeAdapter[Event] = TypeAdapter(Event)
CALLS = st.builds(ToolCall, id=st.text(min_size=1), name=st.text(min_size=1), arguments=st.text())
COMPLETIONS = st.builds(
    Completion,
    id=st.text(),
    model=st.text(),
    text=st.text(),
    tool_calls=st.lists(CALLS, max_size=3).map(tuple),
    stop_reason=st.sampled_from(["stop", "length", "tool_calls", "refusal"]),
    stop_sequence=st.none() | st.text(),
    usage=st.builds(Usage, input_tokens=st.integers(0, 99), output_tokens=st.integers(0, 99)),
)


@given(COMPLETIONS)
def test_what_is_split_accumulates_to_the_same(completion: Completion) -> None:
    """Any answer, said token by token, is put together as it was."""
    accumulator = Accumulator()
    for event in split(completion):
        accumulator.add(event)
    assert accumulator.completion() == completion
    assert accumulator.text == completion.text


@given(COMPLETIONS)
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

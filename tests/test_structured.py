"""Structured output: valid, or an error that keeps what was said; and never more calls than allowed."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from tests.test_providers import ALL, provider_of, request
from workbench.calls.router import Router
from workbench.clock import run
from workbench.errors import ConfigurationError, InvalidOutputError, RateLimitError
from workbench.messages import Reply
from workbench.providers import FieldsSoFar, Parsed
from workbench.simulator import Faults, RateLimits, Simulator


class Step(BaseModel):
    tool: Literal["search", "read"]
    query: str = "nothing"


class Ticket(BaseModel):
    customer: str
    urgency: int = Field(ge=1, le=5)
    steps: list[Step] = []
    note: str | None = None


GOOD = Ticket(customer="Anna", urgency=3, steps=[Step(tool="read")])


def parse(sim: Simulator, kind: str, **options: Any) -> Parsed[Ticket]:
    repairs = options.pop("repairs", 2)
    return run(lambda: provider_of(sim, kind).parse(request(kind, **options), Ticket, repairs=repairs))


@ALL
def test_a_right_answer_costs_one_call(kind: str) -> None:
    """Both providers' own structured output gives an instance, with what it cost."""
    sim = Simulator(script=[GOOD.model_dump_json()])
    parsed = parse(sim, kind)
    assert parsed.value == GOOD
    assert (parsed.repairs, len(sim.log)) == (0, 1)
    assert parsed.usage == parsed.completion.usage


@ALL
def test_the_schema_is_one_that_the_simulated_model_fulfils(kind: str) -> None:
    """The model is told the schema in the provider's own dialect: its answers have that form."""
    complaints = []
    for number in range(20):
        try:
            parse(Simulator(seed=number), kind, repairs=0)
        except InvalidOutputError as error:
            complaints += error.complaints[0].splitlines()
    # Anthropic's schemas have no bounds: that is what is wrong there, and nothing else.
    assert all(each.startswith("urgency: Input should be") for each in complaints)
    assert bool(complaints) == (kind == "anthropic")


@ALL
def test_a_wrong_answer_is_sent_back_with_what_is_wrong(kind: str) -> None:
    """The next request shows the model its answer and the complaint; the usage counts both calls."""
    asked = []

    def script(question: Any) -> str:
        asked.append(question)
        return '{"customer": "Anna", "urgency": 9}' if len(asked) == 1 else GOOD.model_dump_json()

    sim = Simulator(script=script)
    parsed = parse(sim, kind)
    assert parsed.complaints == ("urgency: Input should be less than or equal to 5, got 9",)
    *_, wrong, mend = asked[1].messages
    assert wrong.content == '{"customer": "Anna", "urgency": 9}'
    assert parsed.complaints[0] in mend.content
    assert parsed.usage.input_tokens == sim.log[0].input_tokens + sim.log[1].input_tokens


def test_what_stands_before_a_provider_parses_too() -> None:
    """A router falls back under each try, and the schema reaches the second in its own dialect."""
    down = Simulator(faults=Faults(error_rate=1))
    sim = Simulator(script=["no", GOOD.model_dump_json()])
    routes = {"gpt-4o": provider_of(down, "openai"), "claude-sonnet-5": provider_of(sim, "anthropic")}
    parsed = run(lambda: Router(routes).parse(request("openai"), Ticket))
    assert (parsed.value, parsed.repairs) == (GOOD, 1)
    assert (len(down.log), len(sim.log)) == (2, 2)


@ALL
@pytest.mark.parametrize("repairs", [0, 1, 3])
def test_repairs_are_bounded_and_nothing_is_lost(kind: str, repairs: int) -> None:
    """After the last repair the error has all answers, their complaints and their tokens."""
    sim = Simulator(script=lambda _: "I'd rather not.")
    with pytest.raises(InvalidOutputError, match=r"no valid Ticket in .* Invalid JSON") as caught:
        parse(sim, kind, repairs=repairs)
    assert caught.value.raw == ("I'd rather not.",) * (repairs + 1)
    assert len(caught.value.complaints) == len(sim.log) == repairs + 1
    assert caught.value.usage.output_tokens == sum(each.output_tokens for each in sim.log)


@ALL
@pytest.mark.parametrize(
    ("reply", "options", "complaint"),
    [
        pytest.param(Reply(text="No.", stop_reason="refusal"), {}, "the model refused", id="refusal"),
        pytest.param(GOOD.model_dump_json(), {"max_tokens": 16}, "cut off at max_tokens", id="length"),
    ],
)
def test_what_a_repair_cannot_mend_is_not_repaired(
    kind: str, reply: Any, options: dict[str, Any], complaint: str
) -> None:
    """A refusal, or an answer that was cut off, would come again: there is one call."""
    sim = Simulator(script=lambda _: reply)
    with pytest.raises(InvalidOutputError, match=complaint):
        parse(sim, kind, **options)
    assert len(sim.log) == 1


def test_what_is_no_answer_is_no_invalid_answer() -> None:
    """A provider's refusal stays its own error, and a negative bound is refused."""
    with pytest.raises(RateLimitError):
        parse(Simulator(limits=RateLimits(requests=1, output_tokens=1)), "anthropic")
    with pytest.raises(ConfigurationError, match="repairs must not be negative, got -1"):
        parse(Simulator(), "openai", repairs=-1)


@ALL
def test_the_simulated_model_is_wrong_as_often_as_it_is_told(kind: str) -> None:
    """The rate of invalid output is that of the setting, within the binomial's bounds, in each known way."""
    sim = Simulator(script=lambda _: GOOD.model_dump_json(), faults=Faults(invalid_output_rate=0.3))
    wrong: list[str] = []
    for number in range(100):
        try:
            parse(sim, kind, messages=f"Question {number}", repairs=0)
        except InvalidOutputError as error:
            wrong += error.raw
    assert 100 * 0.3 - 14 < len(wrong) < 100 * 0.3 + 14  # three standard deviations
    assert any(text.startswith("Here is the JSON") for text in wrong)
    assert any('{"value":' in text for text in wrong)
    assert any(GOOD.model_dump_json().startswith(text) for text in wrong)


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", ""])
def test_a_script_that_is_no_object_can_be_spoilt_too(text: str) -> None:
    """Whatever a script says, the fault breaks nothing but the answer."""
    for seed in range(5):
        sim = Simulator(seed=seed, script=lambda _: text, faults=Faults(invalid_output_rate=1))
        with pytest.raises(InvalidOutputError):
            parse(sim, "openai", repairs=0)


@given(st.data())
def test_fields_are_seen_as_they_come(data: st.DataObject) -> None:
    """However the JSON is cut, each view is of the final value's fields, and the whole is the instance."""
    ticket = data.draw(st.builds(Ticket, urgency=st.integers(1, 5), customer=st.text(), note=st.text()))
    text = ticket.model_dump_json()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=9)))
    fields = FieldsSoFar(Ticket)
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        view = fields.feed(text[start:end])
        assert list(view) == list(json.loads(text))[: len(view)]
    assert fields.whole() == ticket


@pytest.mark.parametrize(
    ("fragments", "complaint"),
    [
        pytest.param(['{"urgency": 9, ', '"customer": "A'], "urgency: .* less than or equal", id="bound"),
        pytest.param(['{"steps": [{"tool": "fly"}], "c', 'ustomer": "A'], r"steps\.0\.tool: ", id="nested"),
        pytest.param(["Here is", " the JSON"], "expected value at line 1", id="talk"),
    ],
)
def test_a_wrong_field_is_found_before_the_end(fragments: list[str], complaint: str) -> None:
    """As soon as a field is whole and wrong there is an error, with the text so far."""
    fields = FieldsSoFar(Ticket)
    with pytest.raises(InvalidOutputError, match=complaint) as caught:
        list(map(fields.feed, fragments))
    assert caught.value.raw[0] in "".join(fragments)


def test_the_end_is_checked_too() -> None:
    """A field that never came is an error when the text has ended, not before."""
    fields = FieldsSoFar(Ticket)
    assert fields.feed('{"urgency": 2, "note": "x"}') == {"urgency": 2, "note": "x"}
    with pytest.raises(InvalidOutputError, match="customer: Field required"):
        fields.whole()

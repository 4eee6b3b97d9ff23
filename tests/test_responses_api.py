"""OpenAI's Responses API in the simulated provider, through the real SDK."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response
from pydantic import BaseModel

from workbench.clock import now, run
from workbench.messages import Message, Reply, Request, ToolCall
from workbench.simulator import Faults, Latency, ModelProfile, RateLimits, Simulator

# Its first token comes after a second, then one every tenth: five words take 1.42 s.
STEADY = ModelProfile(
    name="m",
    provider="openai",
    ttft=Latency(mean=1),
    itl=Latency(mean=0.1),
    prefill_tokens_per_second=1e12,
    slots=1,
)
WORDS = "one two three four five"
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "the weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
TOOLS: Any = [WEATHER]


class City(BaseModel):
    """A structured answer."""

    name: str
    inhabitants: int


def steady(**options: Any) -> Simulator:
    """A simulator of which each instant is known."""
    return Simulator(**{"models": [STEADY], "script": WORDS} | options)


def talk(sim: Simulator, main: Callable[[openai.AsyncOpenAI], Awaitable[Any]]) -> Any:
    """Run `main` with a client, in virtual time; nothing is tried twice."""

    async def with_client() -> Any:
        return await main(sim.openai(max_retries=0))

    return run(with_client)


def text_of(item: Any) -> str:
    """The text of a message among the input items."""
    return str(item.content[0].text)


async def refused(call: Awaitable[Any]) -> tuple[int, str | None, str | None, str]:
    """Status, param, code and message of the error that `call` raises."""
    with pytest.raises(openai.APIStatusError) as caught:
        await call
    body: Any = caught.value.body
    return caught.value.status_code, body["param"], body["code"], body["message"]


QUESTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "text": {"input": "Why does jitter help?", "instructions": "Be brief."},
    "tools": {"input": "What is the weather in Zürich?", "tools": [WEATHER]},
    "parallel": {"tools": [WEATHER, {**WEATHER, "name": "weather_map"}], "input": "A map of the weather?"},
    "one": {
        "tools": [WEATHER, {**WEATHER, "name": "weather_map"}],
        "input": "A map of the weather?",
        "parallel_tool_calls": False,
    },
    "thoughts": {"reasoning": {"effort": "low"}},
    "shown": {
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "tools": [WEATHER],
        "tool_choice": "required",
    },
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_the_streamed_response_is_the_whole_one(question: dict[str, Any]) -> None:
    """From the same seed, what the SDK's stream helper puts together is what comes unstreamed, id and all."""
    asked: dict[str, Any] = {"model": "gpt-5", "input": "?"} | question

    async def streamed(client: openai.AsyncOpenAI) -> Any:
        async with client.responses.stream(**asked) as stream:
            return await stream.get_final_response()

    whole = talk(Simulator(seed=3), lambda client: client.responses.parse(**asked))
    again = talk(Simulator(seed=3), streamed)
    assert again.to_dict() == whole.to_dict()
    assert whole.output_text or any(item.type == "function_call" for item in whole.output)


def test_structured_outputs_are_parsed() -> None:
    """`responses.parse` gives the object, and the stream helper the same one."""

    async def main(client: openai.AsyncOpenAI) -> tuple[Any, Any]:
        asked: dict[str, Any] = {"model": "gpt-5", "input": "Which city?", "text_format": City}
        whole = await client.responses.parse(**asked)
        async with client.responses.stream(**asked) as stream:
            return whole, await stream.get_final_response()

    whole, streamed = talk(Simulator(), main)
    assert isinstance(whole.output_parsed, City)
    assert streamed.output_parsed == whole.output_parsed


def test_a_refusal_is_a_part_of_its_own() -> None:
    """A model that declines says so in a refusal, whole and streamed; the response is complete."""

    async def main(client: openai.AsyncOpenAI) -> tuple[Any, Any]:
        whole = await client.responses.create(model="gpt-5", input="?")
        async with client.responses.stream(model="gpt-5", input="?") as stream:
            return whole, await stream.get_final_response()

    for response in talk(Simulator(faults=Faults(refusal_rate=1)), main):
        assert response.status == "completed"
        assert [part.type for part in response.output[0].content] == ["refusal"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_limit_makes_a_response_incomplete(stream: bool) -> None:
    """At `max_output_tokens` it ends, says why, and has used that many tokens, thoughts included."""

    async def main(client: openai.AsyncOpenAI) -> Any:
        asked: dict[str, Any] = {"model": "gpt-5", "input": "?", "max_output_tokens": 70}
        asked["reasoning"] = {"effort": "low"}
        if not stream:
            return await client.responses.create(**asked)
        *_, last = [event async for event in await client.responses.create(**asked, stream=True)]
        assert last.type == "response.incomplete"
        return last.response

    response = talk(Simulator(), main)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage.output_tokens == 70
    assert response.usage.output_tokens_details.reasoning_tokens == 64


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "item_reference", "mcp_call"]) | JSON},
    optional={"id": JSON, "role": st.just("user"), "content": st.text() | JSON, "summary": st.just([])},
)
PARAMETERS = {
    **dict.fromkeys(
        ["background", "conversation", "include", "metadata", "model", "previous_response_id"], JSON
    ),
    **dict.fromkeys(["prompt", "reasoning", "store", "stream", "text", "tool_choice", "tools"], JSON),
    "input": st.text() | st.lists(ITEM | JSON),
}


@settings(max_examples=50)
@given(
    st.fixed_dictionaries({}, optional=PARAMETERS).map(
        lambda given: {"model": "gpt-5", "input": "?"} | given
    ),
    st.sampled_from(["", "/compact", "/input_tokens"]),
    st.booleans(),
)
def test_any_request_has_an_answer(body: dict[str, Any], path: str, lenient: bool) -> None:
    """Whatever JSON is sent, strict or lenient, the provider answers, or says what is wrong."""

    async def main(client: openai.AsyncOpenAI) -> int:
        options = {"cast_to": object, "body": body}
        try:
            await client.post(f"/responses{path}", **options)  # type: ignore[call-overload]
        except openai.APIStatusError as error:
            return error.status_code
        return 200

    sim = Simulator(lenient=lenient)
    assert talk(sim, main) in (200, 400, 404)
    assert sim.log[0].outcome in ("ok", "rejected")


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"max_output_tokens": 100_000}, "max_output_tokens", None),
        ({"input": "word " * 200_000}, "input", "context_length_exceeded"),
        ({"model": "none"}, None, "model_not_found"),
        ({"tool_choice": "required"}, "tool_choice", None),
    ],
)
def test_a_refusal_names_the_parameter(change: dict[str, Any], param: str | None, code: str | None) -> None:
    """What is too long, or not there, is said in this API's words."""
    asked: dict[str, Any] = {"model": "gpt-4o", "input": "?"} | change
    status, *found = talk(Simulator(), lambda client: refused(client.responses.create(**asked)))
    assert status == (404 if code == "model_not_found" else 400)
    assert found[:2] == [param, code]


# -- conversations -----------------------------------------------------------------------------------------


class Listener:
    """A script that answers by a number, and remembers what it was asked."""

    def __init__(self) -> None:
        self.heard: list[tuple[Message, ...]] = []

    def __call__(self, request: Request) -> Reply:
        self.heard.append(request.messages)
        calls = [ToolCall(id="call_1", name="get_weather", arguments="{}")] if request.tools else []
        return Reply(text=f"answer {len(self.heard)}", tool_calls=tuple(calls))


def test_a_conversation_is_continued_by_its_id() -> None:
    """All that was said before is part of the prompt, and is paid for; instructions are not carried over."""
    script = Listener()

    async def main(client: openai.AsyncOpenAI) -> list[Response]:
        first = await client.responses.create(model="gpt-5", input="Q1", instructions="Rhyme.", tools=TOOLS)
        result: Any = [{"type": "function_call_output", "call_id": "call_1", "output": "14 °C"}]
        second = await client.responses.create(model="gpt-5", previous_response_id=first.id, input=result)
        third = await client.responses.create(model="gpt-5", previous_response_id=second.id, input="Q3")
        return [first, second, third]

    responses = talk(Simulator(script=script), main)
    call = ToolCall(id="call_1", name="get_weather", arguments="{}")
    said = [
        Message(role="user", content="Q1"),
        Message(role="assistant", content="answer 1", tool_calls=(call,)),
        Message(role="tool", content="14 °C", tool_call_id="call_1"),
        Message(role="assistant", content="answer 2"),
        Message(role="user", content="Q3"),
    ]
    assert list(script.heard[1]) == said[:3]
    assert list(script.heard[2]) == said
    tokens = [response.usage.input_tokens for response in responses if response.usage]
    assert tokens[1] > 8
    assert tokens[2] > tokens[1]
    assert [response.previous_response_id for response in responses] == [
        None,
        responses[0].id,
        responses[1].id,
    ]


def test_an_item_may_be_named_only() -> None:
    """A reference stands for the item that was stored, be it asked or answered; one to nothing is a 404."""
    script = Listener()

    async def main(client: openai.AsyncOpenAI) -> Any:
        first = await client.responses.create(model="gpt-5", input="Q1")
        asked = await client.responses.input_items.list(first.id)
        named: Any = [{"type": "item_reference", "id": item.id} for item in (asked.data[0], first.output[0])]
        await client.responses.create(model="gpt-5", input=[*named, {"role": "user", "content": "Q2"}])
        return await refused(
            client.responses.create(model="gpt-5", input=[{"type": "item_reference", "id": "x"}])
        )

    status, param, _, message = talk(Simulator(script=script), main)
    assert [message.content for message in script.heard[1]] == ["Q1", "answer 1", "Q2"]
    assert (status, param) == (404, "input")
    assert message.startswith("Item with id 'x' not found.")


def test_a_call_whose_output_is_missing_stops_the_conversation() -> None:
    """Who goes on without the output of a call is told which."""

    async def main(client: openai.AsyncOpenAI) -> Any:
        first = await client.responses.create(model="gpt-5", input="Q1", tools=TOOLS)
        return await refused(
            client.responses.create(model="gpt-5", previous_response_id=first.id, input="Q2")
        )

    found = talk(Simulator(script=Listener()), main)
    assert found == (400, "input", None, "No tool output found for function call call_1.")


def test_what_is_not_stored_is_not_there() -> None:
    """With `store=False`, and after a deletion, nothing can be retrieved or continued."""

    async def main(client: openai.AsyncOpenAI) -> None:
        private = await client.responses.create(model="gpt-5", input="?", store=False)
        deleted = await client.responses.create(model="gpt-5", input="?")
        assert (await client.responses.retrieve(deleted.id)) == deleted
        await client.responses.delete(deleted.id)
        for identity in (private.id, deleted.id, "resp_none"):
            following = client.responses.create(model="gpt-5", input="?", previous_response_id=identity)
            assert await refused(following) == (
                400,
                "previous_response_id",
                "previous_response_not_found",
                f"Previous response with id '{identity}' not found.",
            )
            for call in (
                client.responses.retrieve(identity),
                client.responses.delete(identity),
                client.responses.cancel(identity),
                client.responses.input_items.list(identity),
            ):
                assert await refused(call) == (404, None, None, f"Response with id '{identity}' not found.")

    talk(Simulator(), main)


def test_a_response_belongs_to_its_key() -> None:
    """Another key does not see it."""
    sim = Simulator()

    async def main() -> None:
        mine = await sim.openai().responses.create(model="gpt-5", input="?")
        status, *_ = await refused(sim.openai(api_key="another").responses.retrieve(mine.id))
        assert status == 404

    run(main)


def test_a_response_that_nobody_waited_for_is_not_stored() -> None:
    """Who gives up before the end leaves nothing behind."""
    sim = steady()

    async def main(client: openai.AsyncOpenAI) -> None:
        stream = await client.responses.create(model="m", input="?", stream=True)
        event = await anext(aiter(stream))
        await stream.close()
        await asyncio.sleep(10)
        assert event.type == "response.created"
        status, *_ = await refused(client.responses.retrieve(event.response.id))
        assert status == 404

    talk(sim, main)


@pytest.mark.parametrize("name", ["conversation", "prompt"])
def test_conversations_and_prompts_are_not_kept_here(name: str) -> None:
    """A conversation or prompt that is named is none that exists."""
    given: Any = {"conversation": "x"} if name == "conversation" else {"prompt": {"id": "x"}}
    found = talk(
        Simulator(), lambda client: refused(client.responses.create(model="gpt-5", input="?", **given))
    )
    assert found == (404, name, None, f"{name.title()} with id 'x' not found.")


def test_input_items_come_in_pages() -> None:
    """They are listed newest first, or as they were said; the SDK's pages add up to all of them."""

    async def main(client: openai.AsyncOpenAI) -> Any:
        listing = client.responses.input_items.list
        first = await client.responses.create(model="gpt-5", input="Q1")
        asked: Any = [{"role": role, "content": role} for role in ("developer", "assistant", "user")]
        second = await client.responses.create(model="gpt-5", previous_response_id=first.id, input=asked)
        texts = [text_of(item) async for item in listing(second.id, order="asc", limit=2)]
        assert texts == ["Q1", first.output_text, "developer", "assistant", "user"]
        newest = await listing(second.id, limit=2)
        assert [text_of(item) for item in newest.data] == ["user", "assistant"]
        assert newest.has_more
        rest = await listing(second.id, after=newest.data[-1].id, limit=3)
        assert [text_of(item) for item in rest.data] == texts[2::-1]
        assert not rest.has_more
        wrong: list[Any] = [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"order": "up"}]
        return [(await refused(listing(second.id, **options)))[:2] for options in wrong]

    found = talk(Simulator(), main)
    assert found == [(400, "limit"), (400, "limit"), (400, "limit"), (400, "order")]


def test_an_empty_page() -> None:
    """Behind the last item there is nothing more."""

    async def main(client: openai.AsyncOpenAI) -> Any:
        response = await client.responses.create(model="gpt-5", input="?")
        (only,) = (await client.responses.input_items.list(response.id)).data
        return await client.responses.input_items.list(response.id, after=only.id)

    page = talk(Simulator(), main)
    assert (page.data, page.has_more) == ([], False)


def test_a_conversation_is_compacted() -> None:
    """A compaction costs a summary, and the conversation goes on from it with what its users said."""
    script = Listener()

    async def main(client: openai.AsyncOpenAI) -> Any:
        first = await client.responses.create(model="gpt-5", input="Q1")
        small = await client.responses.compact(model="gpt-5", previous_response_id=first.id, input="Q2")
        items: Any = [item.to_dict() for item in small.output]
        await client.responses.create(model="gpt-5", input=[*items, {"role": "user", "content": "Q3"}])
        return small

    small = talk(Simulator(script=script), main)
    assert small.usage.output_tokens > 0
    assert [message.content for message in script.heard[1]][:3] == ["Q1", "answer 1", "Q2"]
    assert [message.content for message in script.heard[2]] == ["Q1", "Q2", "answer 2", "Q3"]


def test_input_tokens_are_counted_as_they_are_charged() -> None:
    """The count of a request, with the conversation before it, is what its usage says; no model works."""
    sim = Simulator()

    async def main(client: openai.AsyncOpenAI) -> tuple[int, int]:
        first = await client.responses.create(model="gpt-5", input="Why does jitter help?")
        asked: dict[str, Any] = {
            "input": "And then?",
            "previous_response_id": first.id,
            "instructions": "Rhyme.",
        }
        counted = await client.responses.input_tokens.count(**asked)
        charged = (await client.responses.create(model="gpt-5", **asked)).usage
        assert charged
        return counted.input_tokens, charged.input_tokens

    counted, charged = talk(sim, main)
    assert counted == charged
    assert sim.log[1].model is None


# -- in the background -------------------------------------------------------------------------------------


async def statuses(client: openai.AsyncOpenAI, identity: str, *instants: float) -> list[str | None]:
    """The status of a response at some instants."""
    found: list[str | None] = []
    for instant in instants:
        await asyncio.sleep(instant - now())
        found.append((await client.responses.retrieve(identity)).status)
    return found


def test_a_background_response_takes_its_place_in_the_queue() -> None:
    """Its request is answered at once; it waits, works and is done as others do, and others wait for it."""
    sim = steady()

    async def main(client: openai.AsyncOpenAI) -> list[Any]:
        ahead = asyncio.ensure_future(client.responses.create(model="m", input="?"))
        await asyncio.sleep(0.1)
        job = await client.responses.create(model="m", input="?", background=True)
        assert (job.status, job.output, job.usage, job.background) == ("queued", [], None, True)
        assert now() == pytest.approx(0.12)
        behind = asyncio.ensure_future(client.responses.create(model="m", input="?"))
        found = await statuses(client, job.id, 1.3, 1.5, 2.8, 2.9)
        done = await client.responses.retrieve(job.id)
        assert (done.output_text, (await behind).output_text, (await ahead).output_text) == (WORDS,) * 3
        assert now() == pytest.approx(4.26)
        return found

    assert talk(sim, main) == ["queued", "in_progress", "in_progress", "completed"]
    ahead, job, behind = sim.log[:3]
    assert (job.arrival, job.ended, job.status) == pytest.approx((0.1, 0.12, 200))
    assert [record.started for record in (ahead, job, behind)] == pytest.approx([0, 1.42, 2.84])
    assert job.tokens == pytest.approx([2.44, 2.54, 2.64, 2.74, 2.84])
    assert job.output_tokens == 5


def test_a_background_response_says_what_any_other_would() -> None:
    """From the same seed its words are those that are given at once."""

    async def in_background(client: openai.AsyncOpenAI) -> Any:
        job = await client.responses.create(model="gpt-5", input="Why?", background=True)
        await asyncio.sleep(60)
        return await client.responses.retrieve(job.id)

    later = talk(Simulator(), in_background)
    at_once = talk(Simulator(), lambda client: client.responses.create(model="gpt-5", input="Why?"))
    assert (later.id, later.output, later.usage) == (at_once.id, at_once.output, at_once.usage)


@pytest.mark.parametrize("cancel_at", [0.5, 2.0], ids=["queued", "in progress"])
def test_a_cancelled_job_leaves_its_place(cancel_at: float) -> None:
    """Whoever waits behind it starts then; it stays cancelled, however often and whenever it is asked."""
    sim = steady()

    async def main(client: openai.AsyncOpenAI) -> float:
        await client.responses.create(model="m", input="?", background=True)
        job = await client.responses.create(model="m", input="?", background=True)
        behind = asyncio.ensure_future(client.responses.create(model="m", input="?"))
        await asyncio.sleep(cancel_at - now())
        assert (await client.responses.cancel(job.id)).status == "cancelled"
        await behind
        ended = now()
        assert (await client.responses.cancel(job.id)).status == "cancelled"
        assert await statuses(client, job.id, 3.0, 60.0) == ["cancelled"] * 2
        assert (await client.responses.retrieve(job.id)).output == []
        return ended

    free = max(cancel_at, 1.42)
    assert talk(sim, main) == pytest.approx(free + 1.42)
    assert sim.log[2].started == pytest.approx(free)
    assert sim.log[1].started == (None if cancel_at < 1.42 else pytest.approx(1.42))


def test_a_waiting_thread_is_woken_too() -> None:
    """A blocking client that waits behind a job starts when that is cancelled."""
    sim = steady()

    async def main(client: openai.AsyncOpenAI) -> float:
        job = await client.responses.create(model="m", input="?", background=True)
        ask = sim.openai_sync().responses.create
        waiting = asyncio.create_task(asyncio.to_thread(ask, model="m", input="?"))
        await asyncio.sleep(0.5 - now())
        await client.responses.cancel(job.id)
        await waiting
        return now()

    assert talk(sim, main) == pytest.approx(0.5 + 1.42)


def test_what_cannot_be_cancelled() -> None:
    """A response that was not made in the background is refused; one that is done stays as it is."""

    async def main(client: openai.AsyncOpenAI) -> Any:
        job = await client.responses.create(model="m", input="?", background=True)
        await asyncio.sleep(60)
        assert (await client.responses.cancel(job.id)).status == "completed"
        other = await client.responses.create(model="m", input="?")
        return await refused(client.responses.cancel(other.id))

    assert talk(steady(), main) == (400, None, None, "Cannot cancel a synchronous response.")


def test_nothing_goes_on_from_what_is_still_made() -> None:
    """A response that is queued or in progress cannot be continued yet; a cancelled one said nothing."""
    script = Listener()

    async def main(client: openai.AsyncOpenAI) -> Any:
        job = await client.responses.create(model="gpt-5", input="Q1", background=True)
        following: dict[str, Any] = {"model": "gpt-5", "input": "Q2", "previous_response_id": job.id}
        found = await refused(client.responses.create(**following))
        await client.responses.cancel(job.id)
        await client.responses.create(**following)
        return found

    status, param, _, message = talk(Simulator(script=script), main)
    assert (status, param) == (400, "previous_response_id")
    assert message.endswith("is still in_progress.")
    assert [message.content for message in script.heard[1]] == ["Q1", "Q2"]


async def collect(stream: Any, events: list[Any], count: int = 10_000) -> list[Any]:
    """The next events of a stream, with their instants."""
    async for event in stream:
        events.append((round(now(), 3), event))
        if len(events) == count:
            break
    await stream.close()
    return events


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_background_stream_is_taken_up_again(count: int) -> None:
    """Its client may go and come back with the last number that it has: nothing is lost or comes twice."""
    sim = steady()

    async def main(client: openai.AsyncOpenAI) -> list[Any]:
        await client.responses.create(model="m", input="?", background=True)
        asked: dict[str, Any] = {"model": "m", "input": "?", "background": True, "stream": True}
        events = await collect(await client.responses.create(**asked), [], count)
        identity, last = events[0][1].response.id, events[-1][1].sequence_number
        rest = await client.responses.retrieve(identity, stream=True, starting_after=last)
        await collect(rest, events)
        again = await collect(await client.responses.retrieve(identity, stream=True), [])
        assert [event for _, event in again] == [event for _, event in events]
        assert {at for at, _ in again} == {round(now(), 3)}
        assert await client.responses.retrieve(identity) == events[-1][1].response
        return events

    events = talk(sim, main)
    assert [event.sequence_number for _, event in events] == list(range(len(events)))
    assert [event.type for _, event in events[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    deltas = [(at, event.delta) for at, event in events if event.type == "response.output_text.delta"]
    assert [delta for _, delta in deltas] == ["one", " two", " three", " four", " five"]
    assert events[0][0] == 0.04
    back = 0.02 if count == 3 else 0  # the first token comes while the connection is made
    assert [at for at, _ in deltas] == pytest.approx([2.44 + back, 2.54, 2.64, 2.74, 2.84])
    assert sim.log[1].output_tokens == 5


def test_a_stream_that_breaks_off_does_not_stop_the_job() -> None:
    """The connection is lost, the response is not."""
    sim = steady(faults=Faults(disconnect_rate=1), seed=4)

    async def main(client: openai.AsyncOpenAI) -> Any:
        events: list[Any] = []
        with pytest.raises(openai.APIError):
            await collect(
                await client.responses.create(model="m", input="?", background=True, stream=True), events
            )
        assert events[-1][1].type != "response.completed"
        rest = await client.responses.retrieve(
            events[0][1].response.id, stream=True, starting_after=events[-1][1].sequence_number
        )
        return await collect(rest, events)

    events = talk(sim, main)
    assert [event.sequence_number for _, event in events] == list(range(len(events)))
    assert events[-1][1].response.output_text == WORDS
    assert sim.log[0].outcome == "broken"
    assert sim.log[1].outcome == "ok"


def test_the_stream_of_a_cancelled_job_ends() -> None:
    """No event says so: it just comes to its end, as the log says."""
    sim = steady()

    async def main(client: openai.AsyncOpenAI) -> list[Any]:
        stream = await client.responses.create(model="m", input="?", background=True, stream=True)
        events: list[Any] = []
        reading = asyncio.create_task(collect(stream, events))
        await asyncio.sleep(1.15 - now())
        await client.responses.cancel(events[0][1].response.id)
        return await reading

    events = talk(sim, main)
    assert events[-1][1].type == "response.output_text.delta"
    assert events[-1][1].delta == " three"  # it was on its way
    assert sim.log[0].ended == pytest.approx(events[-1][0])
    assert sim.log[0].output_tokens == 2


def test_a_streamed_job_that_moves_up() -> None:
    """When those ahead are cancelled the job begins at once; its stream catches up at its old first token."""
    sim = steady()

    async def main(client: openai.AsyncOpenAI) -> list[Any]:
        ahead = await client.responses.create(model="m", input="?", background=True)
        stream = await client.responses.create(model="m", input="?", background=True, stream=True)
        reading = asyncio.create_task(collect(stream, []))
        await asyncio.sleep(0.5 - now())
        await client.responses.cancel(ahead.id)
        return await reading

    events = talk(sim, main)
    assert sim.log[1].started == pytest.approx(0.5)
    assert sim.log[1].tokens[-1] == pytest.approx(1.92)
    assert sim.log[1].ended == pytest.approx(2.44)
    assert events[-1][0] == pytest.approx(2.44)


def test_only_a_streamed_job_is_streamed_again() -> None:
    """Other responses can be retrieved, but not as a stream; nor any from an event that has no number."""

    async def main(client: openai.AsyncOpenAI) -> list[Any]:
        nowhere: Any = "x"
        job = await client.responses.create(model="gpt-5", input="?", background=True, stream=True)
        ((_, created),) = await collect(job, [], 1)
        call = client.responses.retrieve(created.response.id, stream=True, starting_after=nowhere)
        assert (await refused(call))[:3] == (400, "starting_after", "invalid_type")
        found = []
        for background in (False, True):
            response = await client.responses.create(model="gpt-5", input="?", background=background)
            found.append((await refused(client.responses.retrieve(response.id, stream=True)))[:2])
        return found

    assert talk(Simulator(), main) == [(400, "stream")] * 2


def test_a_job_is_under_way_until_it_is_over() -> None:
    """A limit on concurrent requests counts a job as long as it is made, though its request was answered."""
    sim = steady(limits=RateLimits(concurrent=1), slots=9)

    async def main(client: openai.AsyncOpenAI) -> None:
        for cancelled in (True, False):
            job = await client.responses.create(model="m", input="?", background=True)
            assert (await refused(client.responses.create(model="m", input="?")))[0] == 429
            if cancelled:
                await client.responses.cancel(job.id)
            else:
                await asyncio.sleep(1.42)
        await client.responses.create(model="m", input="?")

    talk(sim, main)


def test_a_jobs_prompt_is_cached_when_it_is_read() -> None:
    """What a job has read is cached from its first token on, not from the answer to its request."""
    prompt = "a b c d e f g h " * 200

    async def main(client: openai.AsyncOpenAI) -> list[bool]:
        await client.responses.create(model="m", input="?", background=True)
        jobs = []
        for instant in (0.1, 1.9, 2.6):  # the first of them starts at 1.42, and speaks from 2.42 on
            await asyncio.sleep(instant - now())
            jobs.append(await client.responses.create(model="m", input=prompt, background=True))
        await asyncio.sleep(60)
        usages = [(await client.responses.retrieve(job.id)).usage for job in jobs]
        return [bool(usage and usage.input_tokens_details.cached_tokens) for usage in usages]

    assert talk(steady(), main) == [False, False, True]


def test_a_job_may_fail() -> None:
    """An error of the server's is no error of the request then: the job has failed, and says why."""
    sim = Simulator(faults=Faults(error_rate=1))

    async def main(client: openai.AsyncOpenAI) -> Any:
        job = await client.responses.create(model="gpt-5", input="?", background=True)
        assert job.status == "queued"
        with pytest.raises(openai.InternalServerError):
            await client.responses.create(model="gpt-5", input="?")
        return await client.responses.retrieve(job.id)

    response = talk(sim, main)
    assert response.status == "failed"
    assert response.error.code == "server_error"
    assert (sim.log[0].status, sim.log[0].outcome, sim.log[0].error) == (200, "failed", "server_error")


STEPS = st.lists(
    st.tuples(st.floats(0.03, 1.5), st.sampled_from(["ask", "ask", "wait", "cancel"]), st.integers(0, 9)),
    max_size=25,
)


@settings(max_examples=15)
@given(STEPS, st.integers(1, 2))
def test_a_job_only_goes_forward(steps: list[tuple[float, str, int]], slots: int) -> None:
    """Whatever comes when: no status is ever taken back, no more jobs are served than there are places, and
    none waits while there is one."""
    order = ["queued", "in_progress", "completed"]

    async def main(client: openai.AsyncOpenAI) -> None:
        known: dict[str, str] = {}
        for gap, step, which in steps:
            await asyncio.sleep(gap)
            if step == "ask":
                job = await client.responses.create(model="m", input="?", background=True)
                known[job.id] = "queued"
            elif step == "cancel" and known:
                identity = list(known)[which % len(known)]
                before, after = known[identity], (await client.responses.cancel(identity)).status
                assert after in ("cancelled", "completed")
                assert before == after or before in order[:2]
                known[identity] = str(after)
            found = await asyncio.gather(*(client.responses.retrieve(identity) for identity in known))
            for response in found:
                before, after = known[response.id], response.status
                assert before == after or order.index(before) < order.index(str(after))
                known[response.id] = str(after)
            working, waiting = (list(known.values()).count(status) for status in ("in_progress", "queued"))
            assert working <= slots
            assert working == slots or not waiting

    talk(steady(slots=slots), main)


# -- keys, and what is made up -----------------------------------------------------------------------------


def test_scopes() -> None:
    """A key that may only read can list and retrieve, and make nothing."""
    sim = Simulator(keys={"reader": ["api.responses.read"], "writer": ["api.responses.write"]})

    async def main() -> Any:
        reader, writer = (sim.openai(api_key=name, max_retries=0) for name in ("reader", "writer"))
        response = await writer.responses.create(model="gpt-5", input="?")
        return [
            (await refused(call))[0]
            for call in (
                reader.responses.create(model="gpt-5", input="?"),
                reader.responses.retrieve(response.id),  # another key's
                writer.responses.retrieve(response.id),
            )
        ]

    assert run(main) == [403, 404, 403]


def test_a_lenient_provider_makes_up_what_it_never_saw() -> None:
    """The same id gives the same response in any process; what was deleted is gone all the same."""

    async def main(client: openai.AsyncOpenAI) -> Any:
        response = await client.responses.retrieve("resp_x")
        stream = await client.responses.retrieve("resp_x", stream=True)
        events = await collect(stream, [])
        assert events[-1][1].response == response
        assert (await client.responses.cancel("resp_x")) == response
        assert (await client.responses.input_items.list("resp_x")).data
        await client.responses.delete("resp_x")
        own = await client.responses.create()
        await client.responses.delete(own.id)
        assert (await refused(client.responses.retrieve(own.id)))[0] == 404
        following = await client.responses.create(previous_response_id="resp_x", conversation="conv_x")
        assert following.status == "completed"
        return response

    first, second = (talk(Simulator(lenient=True), main) for _ in range(2))
    assert first == second
    assert first.id == "resp_x"
    assert first.output_text
    assert talk(Simulator(lenient=True), lambda client: client.responses.retrieve("resp_y")) != first


@pytest.mark.parametrize("depth", [50, 126, 127, 300])
def test_a_deep_schema_is_echoed_or_refused(depth: int) -> None:
    """A tool's schema, however deep, is answered: it is never more than can be put into JSON again."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    body: dict[str, Any] = {
        "model": "gpt-5.5",
        "input": "hi",
        "tool_choice": "none",
        "tools": [{"type": "function", "name": "f", "strict": False, "parameters": schema}],
    }

    async def main() -> int:
        raw: Any = Simulator(script="x").openai(max_retries=0).responses.with_raw_response
        try:
            return int((await raw.create(**body)).status_code)
        except openai.BadRequestError as refused:
            return refused.status_code

    assert run(main) == (200 if depth < 127 else 400)

"""OpenAI's chat completions through the real SDK: what they can say, whole and streamed."""

import asyncio
import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from workbench.clock import now, run
from workbench.events import Accumulator
from workbench.messages import Message, Reply, Request, Tool, ToolCall
from workbench.providers import OpenAIProvider
from workbench.simulator import Faults, Latency, ModelProfile, Simulator
from workbench.wire.openai_request import EFFORTS

GPT = "gpt-4o"
MESSAGES: Any = [
    {"role": "user", "content": "Why does jitter help when many clients in Zürich retry at once?"}
]
ASK: Any = [{"role": "user", "content": "What is the weather in Zürich?"}]
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
FUNCTION: dict[str, Any] = {"name": "get_weather", "description": "the weather", "parameters": WEATHER}
TOOLS: Any = [{"type": "function", "function": {**FUNCTION, "strict": True}}]
SQL: Any = [{"type": "custom", "custom": {"name": "run_sql", "description": "the weather in SQL"}}]
CALL: Any = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}


class Plan(BaseModel):
    """What a model is asked to fill in."""

    city: str
    hours: list[int]


def using(sim: Simulator, use: Callable[[openai.AsyncOpenAI], Awaitable[Any]], **options: Any) -> Any:
    """What `use` makes of a client that validates strictly, in virtual time."""

    async def main() -> Any:
        strict = {"max_retries": 0, "_strict_response_validation": True}
        async with sim.openai(**strict, **options) as client:
            return await use(client)

    return run(main)


def chat(sim: Simulator, **options: Any) -> ChatCompletion:
    """A whole answer."""
    asked = {"model": GPT, "messages": MESSAGES, **options}
    answer: ChatCompletion = using(sim, lambda client: client.chat.completions.create(**asked))
    return answer


def bytes_of_stream(sim: Simulator, **options: Any) -> bytes:
    """The bytes of a streamed answer, with its usage."""
    asked = {"model": GPT, "messages": MESSAGES, "stream_options": {"include_usage": True}, **options}

    async def read(client: openai.AsyncOpenAI) -> bytes:
        api = client.chat.completions.with_streaming_response
        async with api.create(**asked, stream=True) as response:
            return bytes(await response.read())

    data: bytes = using(sim, read)
    return data


def accumulated(data: list[bytes], **options: Any) -> ChatCompletion:
    """What the SDK's strict stream helper makes of the bytes of a stream."""

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in data:
            yield chunk

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=chunks())

    async def main() -> ChatCompletion:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        strict: Any = {"_strict_response_validation": True, "http_client": http}
        asked = {"model": GPT, "messages": MESSAGES, **options}
        async with (
            openai.AsyncOpenAI(api_key="k", base_url="http://x.invalid", **strict) as client,
            client.chat.completions.stream(**asked) as stream,
        ):
            return await stream.get_final_completion()

    return run(main)


def plain(answer: ChatCompletion) -> Any:
    """An answer without what is another's each time, or is parsed by the SDK."""
    skipped = {"id", "created", "parsed", "parsed_arguments", "annotations", "index"}

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {k: strip(v) for k, v in value.items() if k not in skipped and v is not None}
            return {k: v for k, v in kept.items() if v != [] or k == "top_logprobs"}
        return [strip(one) for one in value] if isinstance(value, list) else value

    return strip(answer.to_dict(warnings=False))


REFUSING = Faults(refusal_rate=1)
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": ({}, {}),
    "choices": ({}, {"n": 3}),
    "calls": ({}, {"messages": ASK, "tools": TOOLS}),
    "forced call": (
        {},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    ),
    "JSON": ({}, {"response_format": Plan}),
    "refusal": ({"faults": REFUSING}, {}),
    "refusal of JSON": ({"faults": REFUSING}, {"response_format": Plan, "logprobs": True}),
    "logprobs": ({}, {"logprobs": True, "top_logprobs": 3, "n": 2}),
    "logprobs of characters": ({"script": ["日本 🙃👩\u200d👧 é."]}, {"logprobs": True, "top_logprobs": 1}),
    "reasoning": ({}, {"reasoning_effort": "low"}),
    "reasoning, then calls": ({}, {"messages": ASK, "tools": TOOLS, "reasoning_effort": "low"}),
    "text and calls": (
        {
            "script": [
                Reply(
                    text="Höre: 日本 🙂.", tool_calls=(ToolCall(id="", name="get_weather", arguments="{}"),)
                )
            ]
        },
        {"tools": TOOLS},
    ),
    "nothing": ({"script": [""]}, {}),
}


@functools.cache
def both(way: str) -> tuple[ChatCompletion, bytes, dict[str, Any]]:
    """The same answer whole, and as a stream's bytes, and what the helper has to know of the request."""
    settings_, options = WAYS[way]
    model = options.get("response_format")
    sent = dict(options)
    if model is not None:
        schema = {
            "name": "Plan",
            "strict": True,
            "schema": openai.pydantic_function_tool(Plan)["function"]["parameters"],
        }
        sent["response_format"] = {"type": "json_schema", "json_schema": schema}
    helped = {k: v for k, v in options.items() if k in ("tools", "response_format")}
    whole = chat(Simulator(seed=5, **settings_), **sent)
    return whole, bytes_of_stream(Simulator(seed=5, **settings_), **sent), helped


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=5)
@given(cuts=st.lists(st.integers(0), max_size=20))
def test_a_stream_adds_up_to_the_whole_answer(way: str, cuts: list[int]) -> None:
    """However its bytes are cut, the SDK's strict helper makes of a stream what comes unstreamed."""
    whole, data, helped = both(way)
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    assert plain(accumulated([data[a:b] for a, b in pairwise(at)], **helped)) == plain(whole)


def test_parsing_helpers() -> None:
    """`parse` and `stream` fill in a model of the user's."""

    async def use(client: openai.AsyncOpenAI) -> tuple[Any, Any]:
        asked: Any = {"model": GPT, "messages": MESSAGES, "response_format": Plan}
        whole = await client.chat.completions.parse(**asked)
        async with client.chat.completions.stream(**asked) as stream:
            kinds = {event.type async for event in stream}
            final = await stream.get_final_completion()
        assert {"chunk", "content.delta", "content.done"} == kinds
        return whole.choices[0].message.parsed, final.choices[0].message.parsed

    whole, final = using(Simulator(seed=2), use)
    assert isinstance(whole, Plan)
    assert whole == final


# -- logprobs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [0, 1, 5, 20])
@pytest.mark.parametrize("temperature", [None, 0])
def test_logprobs_are_those_of_a_distribution(top: int, temperature: float | None) -> None:
    """Tokens join to the text, bytes are theirs; the likeliest sum to at most 1, the one said among them."""
    optional = {} if temperature is None else {"temperature": temperature}
    said = "Höre: 日本 🙂. " + "Word, word. " * 20
    (choice,) = chat(Simulator(script=said), logprobs=True, top_logprobs=top, **optional).choices
    assert choice.logprobs is not None
    assert choice.logprobs.refusal is None
    tokens = choice.logprobs.content or []
    assert "".join(token.token for token in tokens) == choice.message.content
    assert bytes(byte for token in tokens for byte in token.bytes or ()).decode() == choice.message.content
    for token in tokens:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == top
        assert sum(math.exp(likely.logprob) for likely in token.top_logprobs) <= 1
        logprobs = [likely.logprob for likely in token.top_logprobs]
        assert logprobs == sorted(logprobs, reverse=True)
        assert len({likely.token for likely in token.top_logprobs}) == top
        if top:
            assert (token.token, token.logprob) in [(one.token, one.logprob) for one in token.top_logprobs]
        if top and temperature == 0:
            assert token.top_logprobs[0].token == token.token
    assert len({token.logprob for token in tokens}) > len(tokens) / 2


def test_logprobs_change_nothing_else() -> None:
    """Asked for, or not: the words are the same; not asked for, or with calls alone, there are none."""
    without, with_them = chat(Simulator(seed=3)), chat(Simulator(seed=3), logprobs=True)
    assert without.choices[0].logprobs is None
    assert without.choices[0].message == with_them.choices[0].message
    calls = chat(Simulator(), messages=ASK, tools=TOOLS, logprobs=True)
    assert calls.choices[0].message.tool_calls
    assert calls.choices[0].logprobs is None


def test_logprobs_of_a_refusal_are_its_own() -> None:
    """The tokens by which a model refuses are told apart from content."""
    (choice,) = chat(Simulator(faults=REFUSING), logprobs=True).choices
    assert choice.logprobs is not None
    assert choice.logprobs.content is None
    assert "".join(token.token for token in choice.logprobs.refusal or ()) == choice.message.refusal


# -- refusals, reasoning, caching ----------------------------------------------------------------------


def test_a_refusal_is_no_content() -> None:
    """A model that refuses says so in a place of its own, and stops as usual."""
    (choice,) = chat(Simulator(faults=REFUSING)).choices
    assert choice.finish_reason == "stop"
    assert choice.message.content is None
    assert choice.message.refusal


def test_reasoning_is_counted_by_effort() -> None:
    """The more effort, the more is thought; it is charged, and takes time, but is not shown."""
    answers = {}
    for effort in ("none", *EFFORTS):
        sim = Simulator(seed=1, script=None)
        answer = chat(sim, reasoning_effort=effort, messages=[{"role": "user", "content": "Why jitter?"}])
        assert answer.usage
        assert answer.usage.completion_tokens_details
        thought = answer.usage.completion_tokens_details.reasoning_tokens or 0
        assert thought <= EFFORTS.get(effort, 0)
        assert answer.usage.completion_tokens > thought
        answers[effort] = (thought, sim.log[0].duration)
    assert list(answers.values()) == sorted(answers.values())
    assert answers["none"][0] == 0
    assert len(set(answers.values())) == len(answers)


def test_while_it_reasons_a_stream_says_nothing() -> None:
    """Thoughts are no chunks, so that a client whose patience is shorter gives up."""

    async def use(client: openai.AsyncOpenAI) -> Any:
        asked: Any = {"model": GPT, "messages": MESSAGES, "reasoning_effort": "max", "stream": True}
        start, stream = now(), await client.chat.completions.create(**asked)
        return [now() - start async for _ in stream]

    sim = Simulator()
    chunks = using(sim, use)
    (record,) = sim.log
    assert len(chunks) < 300 < len(record.tokens)
    assert chunks[0] > record.tokens[500] - record.arrival
    with pytest.raises(openai.APITimeoutError):
        using(sim, use, timeout=5.0)


def test_what_is_thought_may_use_up_the_limit() -> None:
    """A limit that the thoughts reach leaves no word for the answer."""
    answer = chat(Simulator(), reasoning_effort="medium", max_completion_tokens=20)
    assert answer.choices[0].finish_reason == "length"
    assert answer.choices[0].message.content == ""
    assert answer.usage
    assert answer.usage.completion_tokens == 20


LONG = "In the beginning there was a long manual. " * 200


def cached(answer: Any) -> int:
    """How many tokens of the prompt had been read before."""
    return int(answer.usage.prompt_tokens_details.cached_tokens)


async def about(client: openai.AsyncOpenAI, question: str, *, text: str = LONG, model: str = GPT) -> int:
    """Ask after a text; how much of the prompt was cached."""
    messages: Any = [{"role": "system", "content": text}, {"role": "user", "content": question}]
    return cached(await client.chat.completions.create(model=model, messages=messages))


def test_the_beginning_of_a_prompt_is_cached() -> None:
    """The same beginning of 1024 tokens or more is read once: and the answer says so."""
    sim = Simulator(seed=4)

    async def use(client: openai.AsyncOpenAI) -> list[int]:
        asked = [("Why?", LONG), ("How?", LONG), ("Why?", f"No. {LONG}"), ("Why?", LONG[:999])]
        return [await about(client, question, text=text) for question, text in [*asked, asked[-1]]]

    first, second, other, short, again = using(sim, use)
    assert (first, other, short, again) == (0, 0, 0, 0)
    assert second >= 1024
    assert second % 128 == 0
    assert second > sim.log[1].input_tokens - 256


def test_a_cached_prompt_is_read_faster() -> None:
    """What is cached adds nothing to the time to the first token."""
    slow = ModelProfile(name="m", provider="openai", ttft=Latency(mean=0.1), prefill_tokens_per_second=100)
    sim = Simulator(models=[slow], script="ok")

    async def use(client: openai.AsyncOpenAI) -> list[int]:
        return [await about(client, question, model="m") for question in ("Why?", "How?")]

    _, known = using(sim, use)
    first, second = ((record.first_token or 0) - record.arrival for record in sim.log)
    assert first - second == pytest.approx(known / 100, abs=0.05)


def test_a_cache_is_one_keys_and_one_models_for_a_while() -> None:
    """Another key or model has read nothing; ten minutes without a use, and it is forgotten."""
    sim = Simulator()

    async def use(client: openai.AsyncOpenAI) -> list[int]:
        stranger = sim.openai(api_key="another")
        told = [await about(client, "a"), await about(stranger, "b"), await about(client, "c", model="gpt-5")]
        for pause in (590, 590, 610):
            await asyncio.sleep(pause)
            told.append(await about(client, f"after {pause}"))
        return told

    *unknown, once, twice, late = using(sim, use)
    assert unknown == [0, 0, 0]
    assert once == twice > 0
    assert late == 0


def test_requests_that_come_at_once_do_not_help_each_other() -> None:
    """Only what has been read is cached: who fans out before the first answer pays for all."""
    sim = Simulator()

    async def use(client: openai.AsyncOpenAI) -> list[int]:
        return await asyncio.gather(*(about(client, str(number)) for number in range(3)))

    assert using(sim, use) == [0, 0, 0]


# -- tools ---------------------------------------------------------------------------------------------


def tool(identity: str) -> dict[str, Any]:
    """The result of a call."""
    return {"role": "tool", "tool_call_id": identity, "content": "sunny"}


@pytest.mark.parametrize(
    ("messages", "complaint", "param"),
    [
        pytest.param(
            [*ASK, tool("c1")],
            "must be a response to a preceeding message with 'tool_calls'",
            "messages.[1].role",
            id="none",
        ),
        pytest.param(
            [{"role": "assistant", "tool_calls": [CALL]}, tool("c1"), *ASK, tool("c1")],
            "must be a response to a preceeding message",
            "messages.[3].role",
            id="too late",
        ),
        pytest.param(
            [{"role": "assistant", "tool_calls": [CALL]}, tool("c2")],
            "'tool_call_id' of 'c2' not found in 'tool_calls' of previous message",
            "messages.[1].tool_call_id",
            id="another's",
        ),
        pytest.param(
            [{"role": "assistant", "tool_calls": [CALL, {**CALL, "id": "c2"}]}, tool("c2"), *ASK],
            "did not have response messages: c1",
            "messages",
            id="one missing",
        ),
        pytest.param(
            [{"role": "assistant", "tool_calls": [CALL]}],
            "response messages: c1",
            "messages",
            id="unanswered",
        ),
    ],
)
def test_calls_and_results_must_go_together(messages: Any, complaint: str, param: str) -> None:
    """A result without its call, or a call without its result, is refused in OpenAI's words."""
    with pytest.raises(openai.BadRequestError) as caught:
        chat(Simulator(), messages=messages, tools=TOOLS)
    assert complaint in caught.value.message
    assert caught.value.param == param
    right = [{"role": "assistant", "tool_calls": [CALL, {**CALL, "id": "c2"}]}, tool("c2"), tool("c1"), *ASK]
    assert chat(Simulator(), messages=right, tools=TOOLS).choices


def test_a_custom_tool_takes_free_text() -> None:
    """The call of a custom tool has its input as plain text, whole and streamed, and the talk goes on."""
    (choice,) = chat(Simulator(seed=1), messages=ASK, tools=SQL).choices
    (call,) = choice.message.tool_calls or []
    assert call.type == "custom"
    assert call.custom.name == "run_sql"
    assert call.custom.input
    named: Any = {"type": "custom", "custom": {"name": "run_sql"}}
    (forced,) = chat(Simulator(), tools=SQL, tool_choice=named).choices
    assert forced.message.tool_calls
    assert forced.finish_reason == "stop"
    talk = [*ASK, choice.message.to_dict(), tool(call.id)]
    assert "sunny" in (chat(Simulator(), messages=talk, tools=SQL).choices[0].message.content or "")


def test_the_adapter_reads_custom_calls() -> None:
    """Our provider's tools of free text come back as they were called, whole and streamed."""
    asked = Request(
        model=GPT,
        messages=(Message(role="user", content="the weather in SQL"),),
        tools=(Tool(name="run_sql", description="weather", free_text=True), Tool(name="f")),
        tool_choice="required",
    )
    said = [
        ToolCall(id="1", name="run_sql", arguments="SELECT 1;"),
        ToolCall(id="2", name="f", arguments="{}"),
    ]

    async def main() -> Any:
        provider, so_far = OpenAIProvider(Simulator(script=lambda _: said).openai()), Accumulator()
        async for event in provider.stream(asked):
            so_far.add(event)
        return await provider.complete(asked), so_far.completion()

    whole, streamed = run(main)
    assert list(whole.tool_calls) == said
    assert streamed.tool_calls == whole.tool_calls


def test_functions_from_before_there_were_tools() -> None:
    """`functions` and `function_call` are asked for and answered as they once were."""
    asked: Any = {"messages": ASK, "functions": [FUNCTION]}
    (choice,) = chat(Simulator(seed=1), **asked).choices
    assert choice.finish_reason == "function_call"
    assert choice.message.tool_calls is None
    assert choice.message.function_call
    assert choice.message.function_call.name == "get_weather"
    assert "Zürich" in choice.message.function_call.arguments
    state = ChatCompletionStreamState()
    for line in bytes_of_stream(Simulator(seed=1), **asked).decode().split("\n\n")[:-2]:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(line.removeprefix("data: ")))
    assert (
        plain(state.current_completion_snapshot)["choices"]
        == plain(chat(Simulator(seed=1), **asked))["choices"]
    )
    result = {"role": "function", "name": "get_weather", "content": "sunny"}
    talk = [*ASK, choice.message.to_dict(), result]
    assert "sunny" in (
        chat(Simulator(), messages=talk, functions=[FUNCTION]).choices[0].message.content or ""
    )
    assert chat(Simulator(), **asked, function_call="none").choices[0].message.function_call is None
    forced = chat(Simulator(), functions=[FUNCTION], function_call={"name": "get_weather"})
    assert forced.choices[0].finish_reason == "stop"


def test_tools_may_be_allowed() -> None:
    """Of all tools only the allowed ones are called."""
    second: Any = {"type": "function", "function": {**FUNCTION, "name": "get_time"}}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]}
    choice: Any = {"type": "allowed_tools", "allowed_tools": allowed}
    answer = chat(Simulator(), messages=ASK, tools=[*TOOLS, second], tool_choice=choice)
    called: Any = answer.choices[0].message.tool_calls
    assert [call.function.name for call in called] == ["get_time"]


# -- options -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"a": "b" * 513}}, "metadata.a"),
        ({"modalities": ["text", "audio"]}, "modalities[1]"),
        ({"reasoning_effort": "immense"}, "reasoning_effort"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], param: str) -> None:
    """An option that is wrong, or lacks the one that it goes with, is named."""
    with pytest.raises(openai.BadRequestError) as caught:
        chat(Simulator(), **options)
    assert caught.value.param == param


def test_a_lenient_provider_lets_examples_through() -> None:
    """Limits of no tokens, and options without those that they go with, are let through if need be."""
    options: Any = {"max_tokens": 0, "max_completion_tokens": 0, "stream_options": {}, "top_logprobs": 0}
    assert chat(Simulator(lenient=True), **options, model="nothing").choices[0].message.content


def test_the_seed_decides_the_words() -> None:
    """The same seed in a request gives the same words, another one others."""
    said = [chat(Simulator(), seed=seed).choices[0].message.content for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


@pytest.mark.parametrize("asked", [None, True, False])
def test_chunks_are_padded_to_hide_their_lengths(asked: bool | None) -> None:
    """Each chunk of a choice has some random letters, unless they are declined."""
    stream = {} if asked is None else {"include_obfuscation": asked}
    lines = bytes_of_stream(Simulator(), stream_options=stream).decode().split("\n\n")[:-2]
    assert all(('"obfuscation":"' in line) == (asked is not False) for line in lines)
    if asked is not False:
        assert len({len(line) % 16 for line in lines}) == 1


def test_headers_say_who_answers_and_how_fast() -> None:
    """Organisation, version and processing time come with each answer, as from OpenAI."""
    sim = Simulator()

    async def use(client: openai.AsyncOpenAI) -> Any:
        raw = client.chat.completions.with_raw_response
        return (await raw.create(model=GPT, messages=MESSAGES)).headers

    headers = using(sim, use)
    assert headers["openai-organization"] == "org-simulated"
    assert headers["openai-version"] == "2020-10-01"
    assert int(headers["openai-processing-ms"]) == math.ceil(sim.log[0].duration * 1000)

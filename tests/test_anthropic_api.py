"""Anthropic's API of the simulated provider through the real SDK: messages, tokens, models."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.resources.messages import DEPRECATED_MODELS
from anthropic.types import Message, TextBlock
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from workbench.clock import now, run, sleep
from workbench.messages import Message as OurMessage
from workbench.messages import Reply, ToolCall
from workbench.messages import Request as OurRequest
from workbench.providers import AnthropicProvider
from workbench.simulator import Faults, Latency, ModelProfile, RateLimits, Simulator

MODEL = "claude-sonnet-5"
QUESTION: Any = [{"role": "user", "content": "Why does jitter help when many clients retry at once?"}]
SOURCE = (
    "Jitter spreads retries in Zürich. Clients that retry at once are a herd 🐎.\nHerds trample! Do they?"
)
PARTS = ["A retry without jitter comes at once.", "Many clients are many."]
DOCUMENTS: Any = [
    {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": SOURCE},
        "title": "Herds",
        "citations": {"enabled": True},
    },
    {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        "citations": {"enabled": True},
    },
    {
        "type": "document",
        "source": {"type": "content", "content": [{"type": "text", "text": part} for part in PARTS]},
        "citations": {"enabled": True},
    },
]
WITH_DOCUMENTS: Any = [
    {"role": "user", "content": [*DOCUMENTS, {"type": "text", "text": QUESTION[0]["content"]}]}
]
WEATHER: Any = {
    "name": "get_weather",
    "description": "the weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
BOOK = " ".join(f"Sentence number {i} says nothing that is new." for i in range(400))
CACHED: Any = [{"type": "text", "text": BOOK, "cache_control": {"type": "ephemeral"}}]


def ask(sim: Simulator, *, client: Any = None, **options: Any) -> Message:
    """The whole answer, in virtual time."""
    claude = sim.anthropic_sync(max_retries=0, **(client or {}))
    arguments: Any = {"model": MODEL, "max_tokens": 4000, "messages": QUESTION, **options}

    async def main() -> Message:
        answer: Message = claude.messages.create(**arguments)
        return answer

    return run(main)


def stream(sim: Simulator, **options: Any) -> Message:
    """The answer that the SDK's helper puts together of a stream."""
    claude = sim.anthropic_sync(max_retries=0)
    arguments: Any = {"model": MODEL, "max_tokens": 4000, "messages": QUESTION, **options}

    async def main() -> Message:
        with claude.messages.stream(**arguments) as events:
            return events.get_final_message()

    return run(main)


def refusal(act: Callable[[], Any]) -> str:
    """The message of the 400 that it is answered by."""
    with pytest.raises(anthropic.BadRequestError) as caught:
        act()
    body: Any = caught.value.body
    assert body["error"]["type"] == "invalid_request_error"
    message: str = body["error"]["message"]
    return message


def reply(request: Any) -> Reply:
    """A script that calls a tool after a thought, and says something besides."""
    call = ToolCall(id="", name="get_weather", arguments='{"city":"Zürich","days":[1,2]}')
    return Reply(text="I’ll look.", thinking="The weather is asked for 🙂.", tool_calls=(call,))


SHAPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "citations": ({}, {"messages": WITH_DOCUMENTS}),
    "cut citation": ({}, {"messages": WITH_DOCUMENTS, "max_tokens": 12}),
    "thinking": ({}, {"thinking": THINKING}),
    "thinking and citations": ({}, {"thinking": {"type": "adaptive"}, "messages": WITH_DOCUMENTS}),
    "hidden thinking": ({}, {"thinking": {**THINKING, "display": "omitted"}}),
    "cut thinking": ({"script": reply}, {"max_tokens": 5}),
    "tool": ({"script": reply}, {"tools": [WEATHER]}),
    "cut tool": ({"script": reply}, {"tools": [WEATHER], "max_tokens": 14}),
    "cache": ({}, {"system": CACHED}),
    "refusal": ({"faults": Faults(refusal_rate=1)}, {}),
    "stop sequence": ({}, {"stop_sequences": ["."]}),
    "no words": ({"script": [""]}, {}),
    "echo": ({}, {"speed": "fast", "inference_geo": "us", "service_tier": "auto"}),
}
SHAPE = pytest.mark.parametrize(("setting", "options"), SHAPES.values(), ids=SHAPES)


# -- whole and streamed ---------------------------------------------------------------------------------


@SHAPE
def test_a_stream_says_what_the_whole_answer_says(setting: Any, options: Any) -> None:
    """The message that the SDK puts together is the one it gets unstreamed: blocks, usage, stop reason."""
    whole, streamed = ask(Simulator(5, **setting), **options), stream(Simulator(5, **setting), **options)
    assert streamed.to_dict() == whole.to_dict()


@SHAPE
def test_a_chunk_is_a_token(setting: Any, options: Any) -> None:
    """Whatever is in an answer, its last bytes are due with its last token, and none are left over."""
    sim = Simulator(5, **setting)
    whole = stream(sim, **options)
    record = sim.log[-1]
    assert record.outcome == "ok"
    assert max(1, len(record.tokens)) == max(1, whole.usage.output_tokens)
    assert record.ended == pytest.approx(record.tokens[-1] if record.tokens else record.ended)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.lists(st.integers(0), max_size=30))
def test_a_stream_may_be_cut_anywhere(shape: str, cuts: list[int]) -> None:
    """Cut at any bytes, the SDK's helper puts the same message together."""
    setting, options = SHAPES[shape]
    data = streamed_bytes(shape)
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    parts = [data[a:b] for a, b in pairwise(at)]

    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter(parts))

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    with (
        anthropic.Anthropic(api_key="k", base_url="http://x.invalid", http_client=http) as claude,
        claude.messages.stream(model=MODEL, max_tokens=9, messages=QUESTION) as events,
    ):
        assert events.get_final_message().to_dict() == ask(Simulator(5, **setting), **options).to_dict()


def streamed_bytes(shape: str) -> bytes:
    """The bytes of one of the streams."""
    setting, options = SHAPES[shape]
    claude = Simulator(5, **setting).anthropic_sync(max_retries=0)
    arguments: Any = {"model": MODEL, "max_tokens": 4000, "messages": QUESTION, "stream": True, **options}

    async def main() -> bytes:
        with claude.messages.with_streaming_response.create(**arguments) as response:
            return b"".join(response.iter_bytes())

    return run(main)


# -- blocks ---------------------------------------------------------------------------------------------


def test_citations_are_literal() -> None:
    """Each passage that rests on a document names the document and the place, and what stands there."""
    blocks = [block for block in ask(Simulator(5), messages=WITH_DOCUMENTS).content if block.type == "text"]
    cited = [(block.text.strip(), citation) for block in blocks for citation in block.citations or ()]
    assert {citation.type for _, citation in cited} == {"char_location", "content_block_location"}
    for text, citation in cited:
        if citation.type == "char_location":
            assert (citation.document_index, citation.document_title) == (0, "Herds")
            assert citation.cited_text == SOURCE[citation.start_char_index : citation.end_char_index] == text
        elif citation.type == "content_block_location":
            assert (citation.document_index, citation.document_title) == (2, None)
            (part,) = PARTS[citation.start_block_index : citation.end_block_index]
            assert citation.cited_text == part == text
    assert any(block.citations is None for block in blocks)  # what the model knows by itself


def test_documents_are_read_without_citations() -> None:
    """A document that is not to be cited is read all the same, and is in one block with the rest."""
    documents = [{name: value for name, value in block.items() if name != "citations"} for block in DOCUMENTS]
    messages: Any = [
        {"role": "user", "content": [*documents, {"type": "text", "text": "What of the herds?"}]}
    ]
    (block,) = ask(Simulator(5), messages=messages).content
    assert isinstance(block, TextBlock)
    assert "Herds trample!" in block.text
    assert block.citations is None


def test_thoughts_come_first() -> None:
    """A thinking model thinks within its budget, and its thoughts count as output."""
    answer = ask(Simulator(1), thinking=THINKING)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    details = answer.usage.output_tokens_details
    assert details is not None
    assert 0 < details.thinking_tokens < answer.usage.output_tokens
    assert ask(Simulator(1), thinking={"type": "disabled"}).content[0].type == "text"


def test_hidden_thoughts_are_signed() -> None:
    """With the display omitted the block is empty but for its signature, and the time is the same."""
    shown, hidden = Simulator(1), Simulator(1)
    answer = ask(hidden, thinking={**THINKING, "display": "omitted"})
    assert answer.content[0].type == "thinking"
    assert not answer.content[0].thinking
    assert answer.content[0].signature
    assert answer.usage.output_tokens_details is not None
    assert ask(shown, thinking=THINKING).content[0] != answer.content[0]
    deltas = streamed_bytes("hidden thinking")
    assert b"signature_delta" in deltas
    assert b"thinking_delta" not in deltas


def test_a_tool_loop_gives_its_thoughts_back() -> None:
    """What the SDK hands back is accepted; a thought that was changed on the way is refused."""
    sim = Simulator(1, script=lambda request: reply(request) if len(request.messages) == 1 else None)
    options: Any = {"tools": [WEATHER], "thinking": THINKING}
    first = ask(sim, **options)
    assert first.stop_reason == "tool_use"
    (call,) = [block for block in first.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "4 °C", "is_error": False}
    messages: Any = [*QUESTION, first.to_param(), {"role": "user", "content": [result]}]
    second = ask(sim, messages=messages, **options)
    assert second.stop_reason == "end_turn"
    assert "4 °C" in "".join(block.text for block in second.content if block.type == "text")
    assert first.content[0].type == "thinking"
    first.content[0].thinking += "!"
    messages[1] = first.to_param()
    complaint = refusal(lambda: ask(sim, messages=messages, **options))
    assert complaint == "messages.1.content.0: Invalid `signature` in `thinking` block"


@pytest.mark.parametrize(
    ("reason", "wire"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("context_window", "model_context_window_exceeded"),
        ("pause", "pause_turn"),
        ("refusal", "refusal"),
    ],
)
def test_a_script_says_why_it_stops(reason: Any, wire: str) -> None:
    """Each stop reason may be said by a script; a refusal has its details."""
    answer = ask(Simulator(script=lambda request: Reply(text="So.", stop_reason=reason)))
    assert answer.stop_reason == wire
    assert (answer.stop_details is not None) == (wire == "refusal")


def test_a_paused_turn_is_handed_back() -> None:
    """The answer so far may be the last message: the model goes on from there."""
    sim = Simulator(script=[Reply(text="Let me", stop_reason="pause"), " see."])
    paused = ask(sim)
    assert paused.stop_reason == "pause_turn"
    assert ask(sim, messages=[*QUESTION, paused.to_param()]).stop_reason == "end_turn"


def test_the_context_window_ends_an_answer() -> None:
    """An answer that would not fit behind its prompt is cut, and says so; its own limit may come first."""
    small = ModelProfile(name=MODEL, provider="anthropic", context_window=40)
    answer = ask(Simulator(models=[small]), max_tokens=300)
    assert answer.stop_reason == "model_context_window_exceeded"
    assert answer.usage.input_tokens + answer.usage.output_tokens == 40
    assert ask(Simulator(models=[small]), max_tokens=3).stop_reason == "max_tokens"


def test_an_answer_is_parsed() -> None:
    """The SDK's structured output comes as the type that was asked for."""

    class Plan(BaseModel):
        city: str
        hours: list[float]

    claude = Simulator(2).anthropic_sync(max_retries=0)

    async def main() -> Plan | None:
        answer = claude.messages.parse(model=MODEL, max_tokens=900, messages=QUESTION, output_format=Plan)
        return answer.parsed_output

    assert isinstance(run(main), Plan)


# -- the cache ------------------------------------------------------------------------------------------


def usage(answer: Message) -> tuple[int, int, int]:
    """(fresh, written, read) tokens of the prompt."""
    found = answer.usage
    return (
        found.input_tokens,
        found.cache_creation_input_tokens or 0,
        found.cache_read_input_tokens or 0,
    )


def test_a_prompt_is_written_once_and_read_again() -> None:
    """The first request writes to the cache; later ones read, for five minutes after each use."""
    sim = Simulator(1)

    async def main() -> list[tuple[int, int, int]]:
        claude, seen = sim.anthropic(max_retries=0), []
        for pause in (0, 290, 290, 301):
            await asyncio.sleep(pause)
            answer = await claude.messages.create(
                model=MODEL, max_tokens=50, messages=QUESTION, system=CACHED
            )
            seen.append(usage(answer))
        return seen

    first, second, third, late = run(main)
    fresh, written, read = first
    assert written > 1024
    assert read == 0
    assert second == third == (fresh, 0, written)
    assert late[1:] == (written, 0)


def test_long_and_short_lives_are_told_apart() -> None:
    """What is kept for an hour is counted apart, and is still there when the rest is forgotten."""
    sim = Simulator(1)
    system: Any = [{"type": "text", "text": BOOK, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    more: Any = {"type": "text", "text": f"More. {BOOK}", "cache_control": {"type": "ephemeral"}}
    messages: Any = [{"role": "user", "content": [more, {"type": "text", "text": "Why jitter?"}]}]

    async def main() -> list[Message]:
        claude, seen = sim.anthropic_sync(max_retries=0), []
        for pause in (0.0, 10.0, 1000.0):
            sleep(pause)
            seen.append(claude.messages.create(model=MODEL, max_tokens=50, messages=messages, system=system))
        return seen

    first, second, third = run(main)
    written = first.usage.cache_creation
    assert written is not None
    assert written.ephemeral_1h_input_tokens > 1024
    assert written.ephemeral_5m_input_tokens > 1024
    assert usage(second) == (usage(first)[0], 0, usage(first)[1])
    assert usage(third)[1:] == (written.ephemeral_5m_input_tokens, written.ephemeral_1h_input_tokens)


def test_the_cache_is_ones_own() -> None:
    """Another key, another model, and a prompt that is too short read nothing."""
    sim = Simulator(1)
    ask(sim, system=CACHED)
    assert usage(ask(sim, system=CACHED, client={"api_key": "other"}))[2] == 0
    assert usage(ask(sim, system=CACHED, model="claude-opus-5"))[2] == 0
    short: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    assert usage(ask(sim, system=short))[1:] == (0, 0)
    assert usage(ask(sim, system=CACHED))[2] > 0


def test_what_is_read_from_the_cache_costs_no_time_and_no_limit() -> None:
    """The first token comes earlier by what need not be read, and the limit on input does not count it."""
    slow = ModelProfile(
        name=MODEL,
        provider="anthropic",
        prefill_tokens_per_second=1000,
        limits=RateLimits(input_tokens=10_000),
        ttft=Latency(mean=0.5),
    )
    sim = Simulator(1, models=[slow])
    claude = sim.anthropic_sync(max_retries=0)

    async def main() -> list[float]:
        times = []
        for _ in range(9):
            begun = now()
            with claude.messages.stream(
                model=MODEL, max_tokens=50, messages=QUESTION, system=CACHED
            ) as events:
                for event in events:
                    if event.type == "text":
                        times.append(now() - begun)
                        break
                events.until_done()
        return times

    first, *others = run(main)
    whole = sum(usage(ask(sim, system=CACHED)))
    assert first == pytest.approx(0.52 + whole / 1000, abs=0.01)
    assert max(others) < 0.6
    assert sim.log.outcomes() == {"ok": 10}
    assert 10 * whole > 10_000


# -- faults and headers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["openai_sync", "anthropic_sync"])
def test_a_server_may_fail_in_mid_stream(kind: str) -> None:
    """An error event ends the stream: the SDK raises it, after what had come."""
    sim = Simulator(4, faults=Faults(stream_error_rate=1))
    client = getattr(sim, kind)(max_retries=0)
    seen: list[Any] = []

    async def main() -> None:
        if kind == "openai_sync":
            seen.extend(client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True))
        seen.extend(client.messages.create(model=MODEL, max_tokens=400, messages=QUESTION, stream=True))

    with pytest.raises(Exception, match="overloaded") as caught:
        run(main)
    assert type(caught.value).__module__.startswith(kind.removesuffix("_sync"))
    assert (sim.log[-1].outcome, sim.log[-1].error) == ("broken", "overloaded")
    assert len(sim.log[-1].tokens) >= 1


def test_a_spoilt_stream_of_hidden_thoughts_is_no_stream() -> None:
    """A malformed event comes even where the token that it takes the place of is not shown."""
    for seed in range(8):
        sim = Simulator(seed, faults=Faults(malformed_rate=1))
        with pytest.raises((ValueError, anthropic.APIError)):
            stream(sim, thinking={**THINKING, "display": "omitted"})


def test_every_answer_says_whose_it_is() -> None:
    """The request's id and the organization's are among the headers, of errors too."""
    claude = Simulator().anthropic_sync(max_retries=0)

    async def main() -> list[httpx2.Headers]:
        good = claude.messages.with_raw_response.create(model=MODEL, max_tokens=9, messages=QUESTION)
        with pytest.raises(anthropic.NotFoundError) as caught:
            claude.messages.create(model="claude-0", max_tokens=9, messages=QUESTION)
        return [good.headers, caught.value.response.headers]

    for headers in run(main):
        assert headers["request-id"].startswith("req_")
        assert len(headers["anthropic-organization-id"]) == 36


# -- tokens and models ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"system": "Be brief."}, {"tools": [WEATHER]}, {"messages": WITH_DOCUMENTS}],
    ids=["plain", "system", "tools", "documents"],
)
def test_counted_tokens_are_those_that_are_charged(options: Any) -> None:
    """What is counted beforehand is what the answer's usage says; counting needs no limit."""
    sim = Simulator(limits=RateLimits(requests=1))
    claude = sim.anthropic_sync(max_retries=0)

    async def main() -> int:
        counts = [
            claude.messages.count_tokens(model=MODEL, **{"messages": QUESTION, **options}) for _ in "ab"
        ]
        assert counts[0] == counts[1]
        return counts[0].input_tokens

    assert run(main) == ask(sim, **options).usage.input_tokens


def test_models_are_listed_the_newest_first() -> None:
    """The list is paged; each model says what it is called and how much it takes."""
    sim = Simulator()
    claude = sim.anthropic_sync(max_retries=0)

    async def main() -> list[Any]:
        models = list(claude.models.list(limit=2))
        assert [model.id for model in models] == [model.id for model in claude.models.list(limit=1000)]
        last = claude.models.list(limit=1000).data[-1].id
        before = claude.models.list(before_id=last, limit=1)
        assert [model.id for model in before.data] == [models[-2].id]
        assert claude.models.list(lifecycle=["retired"]).data == []
        return models

    models = run(main)
    dates = [model.created_at for model in models]
    assert dates == sorted(dates, reverse=True)
    (opus,) = [model for model in models if model.id == "claude-opus-4-8"]
    assert (opus.display_name, opus.line, opus.lifecycle) == ("Claude Opus 4.8", "opus", "active")
    assert (opus.max_input_tokens, opus.max_tokens) == (200_000, 64_000)


def test_deprecated_models_still_answer() -> None:
    """Each model that the SDK warns of is there, and retires on the day that the warning names."""
    sim = Simulator()
    claude = sim.anthropic_sync(max_retries=0)

    async def main() -> dict[str, Any]:
        return {model.id: model for model in claude.models.list(lifecycle=["deprecated"], limit=1000)}

    models = run(main)
    assert models.keys() >= DEPRECATED_MODELS.keys()
    for name, day in DEPRECATED_MODELS.items():
        retires = datetime.strptime(re.sub(r"(\d)[a-z]+,", r"\1", day), "%B %d %Y").replace(tzinfo=UTC)
        assert models[name].retires_at == retires, name
    with pytest.warns(DeprecationWarning, match=name):
        assert ask(sim, model=name).stop_reason == "end_turn"


def test_a_model_is_known_or_made_up() -> None:
    """An unknown model is a 404; a lenient simulator has it."""

    def retrieve(sim: Simulator, name: str) -> Any:
        claude = sim.anthropic_sync(max_retries=0)

        async def main() -> Any:
            return claude.models.retrieve(name)

        return run(main)

    with pytest.raises(anthropic.NotFoundError):
        retrieve(Simulator(), "claude-0")
    assert retrieve(Simulator(lenient=True), "claude-3-5-haiku-20990101").display_name == "Claude 3.5 Haiku"


@pytest.mark.parametrize("limit", ["0", "1001", "many", "-1", "²"])
def test_a_page_has_a_size(limit: str) -> None:
    """A limit that is none is refused; a lenient simulator takes the nearest."""

    def listed(sim: Simulator) -> Any:
        claude = sim.anthropic_sync(max_retries=0)

        async def main() -> Any:
            return claude.models.list(extra_query={"limit": limit})

        return run(main)

    assert refusal(lambda: listed(Simulator())).startswith("limit: Input should be a whole number")
    assert listed(Simulator(lenient=True)).data


# -- our own provider -----------------------------------------------------------------------------------


def test_our_provider_takes_part_in_a_thoughtful_loop() -> None:
    """Thoughts, citations and usage come through our adapter, whole and streamed, and go back."""
    sim = Simulator(7)
    provider = AnthropicProvider(sim.anthropic())
    question = OurMessage.model_validate(
        {
            "role": "user",
            "content": QUESTION[0]["content"],
            "documents": [{"text": SOURCE, "title": "Herds", "citations": True}],
        }
    )
    request = OurRequest(model=MODEL, messages=(question,), thinking_tokens=1024)

    async def main() -> None:
        whole = await provider.complete(request)
        assert whole.thinking
        assert whole.citations
        for citation in whole.citations:
            assert whole.text[citation.start : citation.end].strip() == citation.cited_text
            assert SOURCE[citation.source_start :].startswith(citation.cited_text)
        assert whole.usage.thinking_tokens > 0
        events = [event async for event in provider.stream(request)]
        assert "".join(event.text for event in events if event.type == "thinking") == whole.thinking
        assert [event.citation for event in events if event.type == "citation"] == list(whole.citations)
        again = OurMessage(role="user", content="Why?")
        await provider.complete(
            request.model_copy(update={"messages": (question, whole.to_message(), again)})
        )

    run(main)

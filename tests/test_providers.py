"""The adapters over the real SDKs, against the simulated provider."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from workbench import errors, providers
from workbench.clock import now, run
from workbench.events import Accumulator, Event, Finished, Started
from workbench.messages import Completion, Message, Request, ResponseFormat, Tool, Usage
from workbench.providers import (
    AnthropicProvider,
    OpenAIProvider,
    OpenAIResponsesProvider,
    Provider,
    default_provider,
)
from workbench.simulator import Faults, RateLimits, Simulator

MODELS = {"openai": "gpt-4o", "responses": "gpt-4o", "anthropic": "claude-sonnet-5"}
ADAPTERS: dict[str, Any] = {
    "openai": OpenAIProvider,
    "responses": OpenAIResponsesProvider,
    "anthropic": AnthropicProvider,
}
ALL = pytest.mark.parametrize("kind", list(MODELS))
BOTH = pytest.mark.parametrize("kind", ["openai", "anthropic"])
WEATHER = Tool(
    name="get_weather",
    description="the weather in a city",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def provider_of(sim: Simulator, kind: str, **options: Any) -> Provider:
    """The adapter for one API, with the SDK's retries on: it has to switch them off."""
    client = sim.anthropic if kind == "anthropic" else sim.openai
    provider: Provider = ADAPTERS[kind](client(**options))
    return provider


def request(kind: str, **options: Any) -> Request:
    """A question to a model that the provider has."""
    return Request.model_validate({"model": MODELS[kind], "messages": "Why does jitter help?"} | options)


def complete(sim: Simulator, kind: str, asked: Request | None = None, **options: Any) -> Completion:
    """The whole answer, in virtual time."""
    return run(lambda: provider_of(sim, kind, **options).complete(asked or request(kind)))


async def collect(events: AsyncIterator[Event], into: list[Event]) -> None:
    """Read a stream to its end, and keep what has come if it fails."""
    async for event in events:
        into.append(event)  # noqa: PERF401 - what has come is kept even if the stream fails


def stream(sim: Simulator, kind: str, asked: Request | None = None, **options: Any) -> list[Event]:
    """The events of a stream, in virtual time."""
    found: list[Event] = []
    run(lambda: collect(provider_of(sim, kind, **options).stream(asked or request(kind)), found))
    return found


def without_id(completion: Completion) -> Completion:
    """Each call has an id of its own."""
    return completion.model_copy(update={"id": ""})


QUESTIONS: list[dict[str, Any]] = [
    {},
    {"max_tokens": 20},
    {"stop": ("jitter",)},
    {"temperature": 0.5},
    {"tools": (WEATHER,), "messages": "What is the weather in Zürich?"},
    {"tool_choice": "required", "parallel_tool_calls": False, "tools": (WEATHER,)},
    {"tool_choice": "get_weather", "tools": (WEATHER,)},
    {"tool_choice": "none", "tools": (WEATHER,)},
    {"response_format": ResponseFormat(json_schema={"type": "object"})},
    {"messages": (Message(role="system", content="Be brief."), Message(role="user", content="Why?"))},
]


CASES = [
    pytest.param(
        kind, question, id=f"{kind} {' '.join(f'{k}={v}' for k, v in question.items())[:30] or 'plain'}"
    )
    for kind in MODELS
    for question in QUESTIONS
    if not (kind == "responses" and "stop" in question)  # that API has no such parameter
]


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_a_stream_adds_up_to_the_whole_answer(kind: str, options: dict[str, Any]) -> None:
    """For every feature of a request, the stream's events accumulate to what `complete` returns."""
    sim = Simulator()
    whole = complete(sim, kind, request(kind, **options))
    events = stream(sim, kind, request(kind, **options))
    accumulator = Accumulator()
    for event in events:
        accumulator.add(event)
    assert without_id(accumulator.completion()) == without_id(whole)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert whole.usage == Usage(input_tokens=sim.log[0].input_tokens, output_tokens=sim.log[0].output_tokens)


@ALL
def test_a_conversation_with_a_tool_goes_on(kind: str) -> None:
    """The answer becomes a turn, the result another, and the model says it."""
    sim = Simulator()
    question = Message(role="user", content="What is the weather in Zürich?")
    first = complete(sim, kind, request(kind, messages=(question,), tools=(WEATHER,)))
    assert first.stop_reason == "tool_calls"
    result = Message(role="tool", content="14 °C", tool_call_id=first.tool_calls[0].id)
    history = (question, first.to_message(), result)
    assert "14 °C" in complete(sim, kind, request(kind, messages=history, tools=(WEATHER,))).text


@ALL
@pytest.mark.parametrize(
    ("settings", "options", "error", "retryable"),
    [
        ({"keys": ["good"]}, {}, errors.AuthenticationError, False),
        ({}, {"model": "none"}, errors.NotFoundError, False),
        ({"script": []}, {}, errors.InvalidRequestError, False),
        ({"max_body_bytes": 20}, {}, errors.InvalidRequestError, False),
        ({"limits": RateLimits(requests=0.5)}, {}, errors.RateLimitError, False),  # never: x-should-retry
        ({"faults": Faults(error_rate=1)}, {}, errors.ServerError, True),
        ({"faults": Faults(overload_rate=1)}, {}, errors.OverloadedError, True),
        ({"faults": Faults(refuse_rate=1)}, {}, errors.ProviderConnectionError, True),
        ({"faults": Faults(reset_rate=1)}, {}, errors.ProviderConnectionError, True),
    ],
)
@pytest.mark.parametrize("ask", [complete, stream])
def test_each_failure_is_one_of_our_errors(
    kind: str, settings: dict[str, Any], options: dict[str, Any], error: Any, retryable: bool, ask: Any
) -> None:
    """Whatever fails before the answer begins is our error, told once: the SDK does not retry."""
    sim = Simulator(**settings)
    with pytest.raises(error) as caught:
        ask(sim, kind, request(kind, **options))
    assert type(caught.value) is error
    assert caught.value.retryable == retryable
    name = "anthropic" if kind == "anthropic" else "openai"
    assert caught.value.provider == name
    assert caught.value.status == sim.log[0].status
    assert len(sim.log) == 1
    if sim.log[0].status:
        assert caught.value.request_id == sim.log[0].request_id
        assert str(caught.value).startswith(f"{name} {sim.log[0].status}: ")


@pytest.mark.parametrize(
    ("headers", "retryable", "after"),
    [
        ({}, True, None),
        ({"retry-after": "7"}, True, 7.0),
        ({"retry-after": "1.5"}, True, 1.5),
        ({"retry-after": "7", "retry-after-ms": "250"}, True, 0.25),
        ({"retry-after": "Wed, 01 Jan 2025 00:00:42 GMT"}, True, 42.0),
        ({"retry-after": "Wed, 01 Jan 2025 00:00:42 -0000"}, True, 42.0),
        ({"retry-after": "Tue, 31 Dec 2024 23:00:00 GMT"}, True, 0.0),
        ({"retry-after": "-3"}, True, 0.0),
        ({"retry-after": "nan"}, True, None),
        ({"retry-after": "soon"}, True, None),
        ({"retry-after": "7", "x-should-retry": "false"}, False, None),
    ],
)
def test_every_form_of_retry_after(headers: dict[str, str], retryable: bool, after: float | None) -> None:
    """Seconds, milliseconds and a date are understood; `x-should-retry` has the last word."""
    assert refused(429, headers) == (retryable, after)


def test_a_provider_may_ask_for_a_retry() -> None:
    """A 400 that says so is retryable, and so is a 409, which the SDKs take for a lock."""
    assert refused(400, {}) == (False, None)
    assert refused(400, {"x-should-retry": "true", "retry-after": "2"}) == (True, 2.0)
    assert refused(409, {}) == (True, None)


def refused(status: int, headers: dict[str, str]) -> tuple[bool, float | None]:
    """What our error says of an answer; a virtual clock starts at 2025-01-01."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, headers=headers, json={}))
    client = openai.AsyncOpenAI(api_key="k", http_client=httpx2.AsyncClient(transport=transport))

    async def main() -> tuple[bool, float | None]:
        with pytest.raises(errors.ProviderError) as caught:
            await OpenAIProvider(client).complete(request("openai"))
        return caught.value.retryable, caught.value.retry_after

    return run(main)


@pytest.mark.parametrize(("kind", "after"), [("openai", 59.6), ("anthropic", 60)])
def test_a_refusal_says_how_long_to_wait(kind: str, after: float) -> None:
    """`retry_after` is what the provider asks for: OpenAI to the millisecond, Anthropic to the second."""
    sim = Simulator(limits=RateLimits(requests=1), script="")

    async def main() -> float | None:
        provider = provider_of(sim, kind)
        await provider.complete(request(kind))
        with pytest.raises(errors.RateLimitError) as caught:
            await provider.complete(request(kind))
        return caught.value.retry_after

    found = run(main)
    assert found == pytest.approx(60 - sim.log[1].arrival, abs=0.001 if kind == "openai" else 1)
    assert found is not None
    assert found >= 60 - sim.log[1].arrival
    assert found == pytest.approx(after, abs=0.5)


def test_an_answer_too_long_to_wait_for_is_refused() -> None:
    """Anthropic's SDK wants a long answer streamed: an InvalidRequestError, and nothing is sent."""
    sim = Simulator()
    with pytest.raises(errors.InvalidRequestError, match="Streaming is required"):
        complete(sim, "anthropic", request("anthropic", max_tokens=50_000))
    assert len(sim.log) == 0
    assert stream(sim, "anthropic", request("anthropic", max_tokens=50_000))


@ALL
def test_no_answer_in_time_is_a_timeout(kind: str) -> None:
    """The SDK's timeout becomes ours, at that instant."""

    async def main() -> float:
        with pytest.raises(errors.ProviderTimeoutError, match=r"sent nothing for 0\.1 s"):
            await provider_of(Simulator(), kind, timeout=0.1).complete(request(kind))
        return now()

    assert run(main) == pytest.approx(0.1)


@ALL
@pytest.mark.parametrize(
    ("faults", "timeout"),
    [
        (Faults(disconnect_rate=1), 600),
        (Faults(malformed_rate=1), 600),
        (Faults(stall_rate=1, stall_seconds=60), 5),
    ],
    ids=["disconnected", "malformed", "stalled"],
)
def test_a_stream_that_breaks_keeps_what_has_come(kind: str, faults: Faults, timeout: float) -> None:
    """Disconnected, malformed or standing still: one error, with the text so far, that is not retryable."""
    sim = Simulator(seed=4, faults=faults, script="one two three four five six seven eight nine")
    events: list[Event] = []
    provider = provider_of(sim, kind, timeout=timeout)
    with pytest.raises(errors.StreamInterruptedError, match="broke off") as caught:
        run(lambda: collect(provider.stream(request(kind)), events))
    accumulator = Accumulator()
    for event in events:
        accumulator.add(event)
    assert caught.value.partial == accumulator.text
    assert "one two three four five six seven eight nine".startswith(caught.value.partial)
    assert not caught.value.retryable


@ALL
def test_a_stream_without_its_end_is_an_error(kind: str) -> None:
    """A stream that ends without its end mark raises nothing in the SDK; here it does."""
    sim = Simulator(script="one two three")
    whole = run(lambda: _raw_stream(sim, kind))
    last = {
        "openai": b'"finish_reason":"stop"',
        "responses": b'"type":"response.completed"',
        "anthropic": b'"type":"message_delta"',
    }[kind]

    def cut(_: httpx2.Request) -> httpx2.Response:
        data = whole[: whole.index(last)].rsplit(b"data:", 1)[0]
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(cut))
    sdk: Any = anthropic.AsyncAnthropic if kind == "anthropic" else openai.AsyncOpenAI
    provider = ADAPTERS[kind](sdk(api_key="k", base_url="http://x.invalid", http_client=http))
    with pytest.raises(errors.StreamInterruptedError, match="ended early") as caught:
        run(lambda: collect(provider.stream(request(kind)), []))
    assert caught.value.partial == "one two three"


async def _raw_stream(sim: Simulator, kind: str) -> bytes:
    prompt: Any = [{"role": "user", "content": "?"}]
    asked: Any
    api: Any
    api, asked = {
        "openai": (sim.openai().chat.completions, {"messages": prompt}),
        "responses": (sim.openai().responses, {"input": prompt}),
        "anthropic": (sim.anthropic().messages, {"messages": prompt, "max_tokens": 99}),
    }[kind]
    async with api.with_streaming_response.create(model=MODELS[kind], stream=True, **asked) as response:
        return bytes(await response.read())


def test_a_response_without_stop_sequences() -> None:
    """What the Responses API cannot be asked is an InvalidRequestError, and nothing is sent."""
    sim = Simulator()
    with pytest.raises(errors.InvalidRequestError, match="no stop sequences"):
        complete(sim, "responses", request("responses", stop="END"))
    assert len(sim.log) == 0


def test_thoughts_are_handed_on() -> None:
    """What a response thought comes back, streamed as whole, and is part of the conversation from then on."""
    sim = Simulator()
    asked = request("responses", thinking_tokens=64)
    whole = complete(sim, "responses", asked)
    assert whole.usage.thinking_tokens == 64
    assert whole.thinking
    assert whole.signature
    assert [event.type for event in stream(sim, "responses", asked)].count("thinking") == 65
    history = (*asked.messages, whole.to_message(), Message(role="user", content="And then?"))
    assert complete(sim, "responses", request("responses", messages=history)).text


def test_a_response_that_failed_is_a_server_error() -> None:
    """A failure that the API tells with status 200 is an error all the same, and retryable."""
    failed = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "failed",
        "error": {"code": "server_error", "message": "Sorry."},
        "model": "m",
        "output": [],
    }
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=failed)))
    client = openai.AsyncOpenAI(api_key="k", base_url="http://x.invalid", http_client=http)
    with pytest.raises(errors.ServerError, match=r"Sorry\.") as caught:
        run(lambda: OpenAIResponsesProvider(client).complete(request("responses")))
    assert caught.value.retryable


@ALL
def test_an_exhausted_quota_is_not_a_rate_limit(kind: str) -> None:
    """An account without money, in either provider's words, is its own error: waiting does not help."""
    sim = Simulator(budget=1e-9)
    assert complete(sim, kind).text
    with pytest.raises(errors.QuotaExceededError, match=r"quota|credit balance") as caught:
        complete(sim, kind)
    assert not caught.value.retryable
    assert caught.value.retry_after is None


@ALL
def test_a_stream_that_is_left_is_cancelled(kind: str) -> None:
    """Who closes the event stream early closes the connection: the provider stops."""
    sim = Simulator(script="one two three four five")

    async def main() -> None:
        events = provider_of(sim, kind).stream(request(kind))
        async for event in events:
            if getattr(event, "text", None) == " two":
                break
        await events.aclose()  # type: ignore[attr-defined]

    run(main)
    assert (sim.log[0].outcome, sim.log[0].output_tokens) == ("cancelled", 2)


@ALL
def test_cancelling_a_call_cancels_the_request(kind: str) -> None:
    """A cancelled task raises CancelledError, not an error of ours."""
    sim = Simulator()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(provider_of(sim, kind).complete(request(kind)), 0.1)

    run(main)
    assert sim.log[0].outcome == "cancelled"


def test_the_adapters_are_providers() -> None:
    """All adapters have what the protocol asks for."""
    for kind in MODELS:
        assert isinstance(provider_of(Simulator(), kind), Provider)


def test_the_default_is_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with keys in the environment nothing real is called unless it is asked for."""
    monkeypatch.delenv("WORKBENCH_PROVIDER", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    sim = Simulator()
    run(lambda: default_provider(sim).complete(request("openai")))
    assert len(sim.log) == 1
    assert default_provider().name == "openai"


@BOTH
def test_a_real_provider_is_asked_for_and_said(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The variable switches to a real one at its own address, and the log says so."""
    monkeypatch.setenv("WORKBENCH_PROVIDER", kind)
    monkeypatch.setenv(f"{kind.upper()}_API_KEY", "k")
    monkeypatch.setenv(f"{kind.upper()}_BASE_URL", "http://127.0.0.1:9/v1")
    with caplog.at_level(logging.WARNING, "workbench"):
        assert default_provider().name == kind
    assert "http://127.0.0.1:9/v1" in caplog.text
    assert "cost money" in caplog.text


@pytest.mark.parametrize(("value", "complaint"), [("openai", "OPENAI_API_KEY"), ("other", "'other'")])
def test_a_wrong_switch_is_refused(value: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is none, or a provider without a key, is refused by name."""
    monkeypatch.setenv("WORKBENCH_PROVIDER", value)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(errors.ConfigurationError, match=complaint):
        default_provider()


def test_the_package_knows_its_names() -> None:
    """Adapters are imported when they are first used; other names are no attributes."""
    with pytest.raises(AttributeError, match="nothing"):
        providers.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthenticationError),
        (402, errors.QuotaExceededError),
        (403, errors.AuthenticationError),
        (404, errors.NotFoundError),
        (408, errors.ProviderTimeoutError),
        (413, errors.InvalidRequestError),
        (422, errors.InvalidRequestError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (503, errors.OverloadedError),
        (529, errors.OverloadedError),
    ],
)
def test_each_status_has_its_error(status: int, error: Callable[..., Any]) -> None:
    """The tree of errors says which status is which."""
    assert errors.error_for_status(status) is error


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"messages": ()}, "at least 1"),
        ({"max_tokens": 0}, "greater than or equal to 1"),
        ({"tool_choice": "f"}, "names none of the tools"),
        ({"tool_choice": "required"}, "names none of the tools"),
        ({"tools": (Tool(name="f"),), "tool_choice": "g"}, "names none of the tools"),
        ({"messages": ({"role": "tool", "content": "x"},)}, "tool_call_id"),
        ({"messages": ({"role": "user", "tool_calls": ({"id": "1", "name": "f"},)},)}, "only an assistant"),
        ({"tools": ({"name": "a b"},)}, "pattern"),
        ({"tools": ({"name": "f", "parameters": {"type": "string"}},)}, "of type 'object'"),
    ],
)
def test_a_wrong_request_is_refused_where_it_is_made(options: dict[str, Any], complaint: str) -> None:
    """What a provider would refuse is refused by us, before anything is sent."""
    with pytest.raises(ValueError, match=complaint):
        request("openai", **options)


def test_usage_adds_up() -> None:
    """Usages are summed over calls."""
    total = Usage(input_tokens=1, output_tokens=2) + Usage(input_tokens=3, output_tokens=4)
    assert (total.input_tokens, total.output_tokens, total.total_tokens) == (4, 6, 10)


def test_a_request_takes_lists_and_plain_words() -> None:
    """Messages, tools and stops may be given as lists, a message as a dict, one stop as a string."""
    message = Message(role="user", content="a")
    expected = Request(model="m", messages=(message,), stop=("END",))
    assert Request.model_validate({"model": "m", "messages": [message], "stop": ["END"]}) == expected
    plain = {"model": "m", "messages": [{"role": "user", "content": "a"}], "stop": "END"}
    assert Request.model_validate(plain) == expected


def test_a_real_provider_refuses_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the virtual clock a real call would time out at once: the switch says so instead."""
    monkeypatch.setenv("WORKBENCH_PROVIDER", "openai")
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    async def main() -> None:
        default_provider()

    with pytest.raises(errors.ConfigurationError, match="wall clock"):
        run(main)

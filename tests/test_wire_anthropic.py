"""Anthropic's protocol: our encoders judged by the real SDK, our decoders by our encoders."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message as SdkMessage
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.strategies import JSON, NAMES, TEXTS, TOKENS
from workbench.events import Accumulator, Event, Finished, Started, ToolCallDelta, split
from workbench.messages import (
    Citation,
    Completion,
    Document,
    Message,
    Request,
    ResponseFormat,
    StopReason,
    Tool,
    ToolCall,
    Usage,
)
from workbench.wire.anthropic import MESSAGES, AnthropicDialect
from workbench.wire.anthropic_client import (
    DEFAULT_MAX_TOKENS,
    StreamDecoder,
    decode_completion,
    encode_request,
)
from workbench.wire.dialect import Call, LimitState, WireError, compact
from workbench.wire.signature import sign

DIALECT = AnthropicDialect()
CALL = Call(request=Request(model="m", messages="?"))  # type: ignore[arg-type]
INPUTS = st.dictionaries(st.text(max_size=4), JSON, max_size=3).map(compact)
CALLS = st.builds(ToolCall, id=st.text(min_size=1, max_size=9), name=NAMES, arguments=INPUTS)
DOCUMENTS = st.builds(Document, text=TEXTS, title=st.none() | TEXTS, citations=st.just(True))
EVENTS: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """What a call was charged for: parts are no more than the whole."""
    fresh, read, written, said, thought = (draw(TOKENS) for _ in range(5))
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=said + thought,
        cached_tokens=read,
        cache_write_tokens=written,
        thinking_tokens=thought,
    )


@st.composite
def citations(draw: st.DrawFn, text: str) -> tuple[Citation, ...]:
    """Citations of passages that do not overlap, some of them of several sources."""
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    return tuple(
        Citation(
            start=start,
            end=end,
            document=draw(st.integers(0, 9)),
            title=draw(st.none() | TEXTS),
            cited_text=draw(TEXTS),
            source_start=draw(st.integers(0, 99)),
        )
        for start, end in pairwise(cuts)
        for _ in range(draw(st.integers(0, 2)))
    )


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    """Answers that Anthropic's protocol can say."""
    calls = tuple(draw(st.lists(CALLS, max_size=3)))
    reasons: list[StopReason] = ["stop", "length", "context_window", "tool_calls", "refusal", "pause"]
    reason = draw(st.sampled_from(reasons))
    text, thinking = draw(TEXTS), draw(TEXTS)
    return Completion(
        id=draw(st.text(min_size=1)),
        model=draw(st.text(min_size=1)),
        text=text,
        thinking=thinking,
        signature=sign(thinking) if thinking else "",
        citations=() if reason == "refusal" else draw(citations(text)),
        tool_calls=calls,
        stop_reason=reason,
        stop_sequence=draw(st.none() | st.text(min_size=1)) if reason == "stop" else None,
        usage=draw(usages()),
    )


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """What the user says, or a tool loop: calls, after some thoughts, and a result for each of them."""
    documents = tuple(draw(st.lists(DOCUMENTS, max_size=2)))
    said = Message(role="user", content=draw(TEXTS), documents=documents)
    calls = tuple(draw(st.lists(CALLS, max_size=2, unique_by=lambda call: call.id)))
    thinking = draw(TEXTS)
    answer = Message(
        role="assistant",
        content=draw(TEXTS),
        thinking=thinking,
        signature=sign(thinking),
        tool_calls=calls,
    )
    results = [Message(role="tool", content=draw(TEXTS), tool_call_id=call.id) for call in calls]
    return [said, answer, *results]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any request of ours that says what Anthropic wants said: one system prompt, a length limit."""
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    system = draw(st.none() | st.builds(Message, role=st.just("system"), content=st.text(min_size=1)))
    messages = [message for turn in draw(st.lists(turns(), min_size=1, max_size=3)) for message in turn]
    tools = [
        Tool(
            name=name, description=draw(TEXTS), parameters=draw(st.sampled_from([schema, {"type": "object"}]))
        )
        for name in draw(st.lists(NAMES, unique=True, max_size=3))
    ]
    budget = draw(st.none() | st.integers(1024, 9999))
    cites = any(message.documents for message in messages)
    choice = draw(
        st.sampled_from(
            ["auto", "none", *(["required", *(t.name for t in tools)] if budget is None else [])]
            if tools
            else ["auto"]
        )
    )
    return Request(
        model=draw(st.text()),
        messages=((system,) if system else ()) + tuple(messages),
        tools=tuple(tools),
        tool_choice=choice,
        parallel_tool_calls=draw(st.booleans()) if tools and choice != "none" else True,
        response_format=None if cites else draw(st.none() | st.just(ResponseFormat(json_schema=schema))),
        max_tokens=draw(st.integers(1, 999)) + (budget or 0),
        stop=tuple(draw(st.lists(TEXTS, max_size=3))),
        temperature=draw(st.none() | (st.floats(0, 1) if budget is None else st.just(1.0))),
        thinking_tokens=budget,
    )


def encoded_stream(answer: Completion) -> bytes:
    """The bytes of the stream that says `answer`."""
    call = Call(Request(model="m", messages="?"))  # type: ignore[arg-type]
    encoder = MESSAGES.stream(call, 7, answer.usage.input_tokens)
    return b"".join(encoder.encode(event) for event in split(answer)) + encoder.end()


def read_by_sdk(chunks: list[bytes]) -> list[RawMessageStreamEvent]:
    """What the real SDK makes of a response's bytes."""

    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter(chunks))

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    with anthropic.Anthropic(api_key="k", base_url="http://x.invalid", http_client=http) as client:
        return list(client.messages.create(model="m", messages=[], max_tokens=1, stream=True))


def decoded(events: list[RawMessageStreamEvent]) -> Iterator[Event]:
    """Our events of the SDK's objects."""
    decoder = StreamDecoder()
    for event in events:
        yield from decoder.decode(event)
    yield from decoder.end()


def accumulated(events: Iterator[Event]) -> Completion:
    """The whole answer that they say."""
    accumulator = Accumulator()
    for event in events:
        accumulator.add(event)
    return accumulator.completion()


@settings(max_examples=40)
@given(completions())
def test_a_completion_survives_the_sdk(completion: Completion) -> None:
    """Encoded, read by the SDK's model and decoded, an answer is the same."""
    data = compact(MESSAGES.encode(CALL, [completion], 7))
    assert decode_completion(SdkMessage.model_validate_json(data)) == completion


@settings(max_examples=25)
@given(completions(), st.lists(st.integers(0), max_size=30))
def test_a_stream_survives_the_sdk_however_it_is_cut(completion: Completion, cuts: list[int]) -> None:
    """A stream cut at any bytes, read by the SDK and decoded, says the same answer."""
    data = encoded_stream(completion)
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    chunks = [data[a:b] for a, b in pairwise(at)]
    assert accumulated(decoded(read_by_sdk(chunks))) == completion


def test_a_stream_may_come_byte_by_byte() -> None:
    """A stream of single bytes is understood."""
    usage = Usage(input_tokens=1, output_tokens=5)
    completion = Completion(id="1", model="m", text="naïve 日本 🙂", usage=usage)
    data = encoded_stream(completion)
    assert accumulated(decoded(read_by_sdk([data[i : i + 1] for i in range(len(data))]))) == completion


@settings(max_examples=40)
@given(completions())
def test_events_come_in_the_order_of_the_api(completion: Completion) -> None:
    """Each event is valid to the SDK's model; blocks open and close one at a time; a ping comes once."""
    parts = encoded_stream(completion).decode().split("\n\n")[:-1]
    names, data = zip(*(part.split("\n", 1) for part in parts), strict=True)
    bodies = [json.loads(line.removeprefix("data: ")) for line in data]
    assert [name.removeprefix("event: ") for name in names] == [body["type"] for body in bodies]
    for body in bodies:
        if body["type"] != "ping":
            EVENTS.validate_python(body)
    kinds = [body["type"] for body in bodies if body["type"] not in ("content_block_delta", "ping")]
    passages = [completion.text] if completion.stop_reason == "refusal" else list(completion.passages())
    blocks = bool(completion.thinking) + len(passages if completion.text else ()) + len(completion.tool_calls)
    blocks_said = ["content_block_start", "content_block_stop"] * blocks
    assert kinds == ["message_start", *blocks_said, "message_delta", "message_stop"]
    assert [body["type"] for body in bodies].count("ping") == bool(blocks)
    starts = [body["index"] for body in bodies if body["type"] == "content_block_start"]
    assert starts == list(range(blocks))


@settings(max_examples=40)
@given(requests())
def test_a_request_survives(request: Request) -> None:
    """The SDK's arguments, sent as JSON and decoded as a server would, ask the same."""
    arguments = encode_request(request)
    body = {**arguments, **arguments.pop("extra_body", {})}  # as the SDK does
    assert MESSAGES.decode(json.loads(json.dumps(body))).request == request


@given(
    JSON
    | st.fixed_dictionaries(
        {"model": JSON, "messages": JSON, "max_tokens": JSON},
        optional=dict.fromkeys(["system", "tools", "tool_choice", "output_config", "stop_sequences"], JSON),
    )
)
def test_any_json_is_understood_or_refused(body: Any) -> None:
    """Whatever JSON comes, it is a call or a WireError of kind invalid_request."""
    try:
        call = MESSAGES.decode(body)
    except WireError as error:
        status, data = DIALECT.encode_error(error, "req_1")
        assert status == 400
        assert json.loads(data)["error"]["type"] == "invalid_request_error"
    else:
        assert call.request.messages


def test_a_limit_is_always_sent() -> None:
    """The API demands a length limit: where the caller sets none, a default is sent."""
    request = Request(model="m", messages="?")  # type: ignore[arg-type]
    assert encode_request(request)["max_tokens"] == DEFAULT_MAX_TOKENS


def test_system_prompts_are_joined() -> None:
    """System messages, wherever they stand, become the one `system` parameter."""
    messages = (
        Message(role="system", content="One."),
        Message(role="user", content="?"),
        Message(role="system", content="Two."),
    )
    wire = encode_request(Request(model="m", messages=messages))
    assert wire["system"] == "One.\n\nTwo."
    assert [message["role"] for message in wire["messages"]] == ["user"]


def test_tool_results_in_a_row_are_one_message() -> None:
    """The API wants the results of one turn's calls in one user message."""
    calls = (ToolCall(id="a", name="f", arguments="{}"), ToolCall(id="b", name="g", arguments='{"x":1}'))
    messages = (
        Message(role="user", content="?"),
        Message(role="assistant", content="Wait.", tool_calls=calls),
        Message(role="tool", content="1", tool_call_id="a"),
        Message(role="tool", content="2", tool_call_id="b"),
    )
    wire = encode_request(Request(model="m", messages=messages))["messages"]
    assert [message["role"] for message in wire] == ["user", "assistant", "user"]
    assert [block["type"] for block in wire[1]["content"]] == ["text", "tool_use", "tool_use"]
    assert [block["tool_use_id"] for block in wire[2]["content"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("", {}),
        ('{"a": 1, "b": [2', {"a": 1, "b": [2]}),
        ('{"a": "cut', {}),
        ("nonsense", {"INVALID_JSON": "nonsense"}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_broken_arguments_are_sent_as_an_object(arguments: str, found: dict[str, Any]) -> None:
    """What the length limit has left of a call is sent; what is no object at all is wrapped."""
    completion = Completion(id="1", model="m", tool_calls=(ToolCall(id="a", name="f", arguments=arguments),))
    data = MESSAGES.encode(CALL, [completion], 1)
    assert data["content"] == [{"type": "tool_use", "id": "a", "name": "f", "input": found}]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"max_tokens": None}, "max_tokens: ", id="no limit"),
        pytest.param({"messages": []}, "messages: ", id="no messages"),
        pytest.param({"messages": [{"role": "system", "content": ""}]}, "messages.0.role: ", id="role"),
        pytest.param({"temperature": 1.5}, "temperature: ", id="temperature"),
        pytest.param(
            {"tools": [{"name": "f", "input_schema": {"type": "string"}}]}, "of type 'object'", id="tool"
        ),
        pytest.param({"tool_choice": {"type": "tool", "name": "f"}}, "none of the tools", id="choice"),
    ],
)
def test_a_refusal_names_the_place(change: dict[str, Any], complaint: str) -> None:
    """A wrong request is refused with the place, as Anthropic writes it."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}], **change}
    with pytest.raises(WireError, match=complaint):
        MESSAGES.decode(body)


def test_blocks_of_a_message_are_read() -> None:
    """Texts are joined, pictures let through, tool calls, results and documents kept apart."""
    source = {"type": "content", "content": [{"type": "text", "text": "D1"}, {"type": "text", "text": "D2"}]}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    found = {"type": "search_result", "title": "T", "source": "s", "content": [{"type": "text", "text": "F"}]}
    result = [{"type": "text", "text": "1"}, {"type": "document", "source": pdf, "title": "P"}, found]
    call = {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}
    said = [{"type": "text", "text": "Let "}, {"type": "text", "text": "me see."}]
    user = [
        {"type": "tool_result", "tool_use_id": "a", "content": result, "is_error": True},
        {"type": "image", "source": {}},
        {"type": "document", "source": source},
        {"type": "text", "text": "Well?"},
        {"type": "text", "text": "Now?"},
    ]
    messages = [
        {"role": "user", "content": "?"},
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}, *said, call]},
        {"role": "user", "content": user},
    ]
    system = [{"type": "text", "text": "S"}]
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    body = {"model": "m", "max_tokens": 9, "system": system, "messages": messages, "tools": tools}
    decoded_call = MESSAGES.decode(body)
    assert decoded_call.request.tools == ()
    assert decoded_call.options["parts"] == {1: ["D1", "D2"]}
    assert decoded_call.request.messages == (
        Message(role="system", content="S"),
        Message(role="user", content="?"),
        Message(role="system", content="Be brief."),
        Message(
            role="assistant",
            content="Let me see.",
            tool_calls=(ToolCall(id="a", name="f", arguments='{"x":1}'),),
        ),
        Message(role="tool", content="1\nF", documents=(Document(text="", title="P"),), tool_call_id="a"),
        Message(role="user", content="Well?\nNow?", documents=(Document(text="D1\nD2"),)),
    )


@pytest.mark.parametrize(
    ("thinking", "effort", "tokens"),
    [
        ({"type": "disabled"}, None, None),
        ({"type": "between_tools"}, None, None),
        ({"type": "enabled", "budget_tokens": 2000}, None, 2000),
        ({"type": "adaptive"}, None, 8192),
        ({"type": "adaptive"}, "low", 512),
        ({"type": "adaptive"}, "max", 10_000),
        (None, "max", None),
    ],
)
def test_what_may_be_thought(thinking: Any, effort: str | None, tokens: int | None) -> None:
    """It is the budget; where the model decides, what its effort asks for, at most half of the limit."""
    body = {"model": "m", "max_tokens": 20_000, "messages": [{"role": "user", "content": "?"}]}
    extra = {"thinking": thinking, "output_config": {"effort": effort}}
    assert MESSAGES.decode({**body, **extra}).request.thinking_tokens == tokens


def test_thoughts_of_another_provider_are_left_out() -> None:
    """A thought without a signature is not sent: the API would refuse it."""
    message = Message(role="assistant", content="Yes.", thinking="Hm.")
    wire = encode_request(Request(model="m", messages=(Message(role="user", content="?"), message)))
    assert wire["messages"][1] == {"role": "assistant", "content": "Yes."}


def test_a_budget_is_no_part_of_the_default_limit() -> None:
    """Where the caller sets no limit, there is room for an answer after what may be thought."""
    request = Request(model="m", messages="?", thinking_tokens=9000)  # type: ignore[arg-type]
    assert encode_request(request)["max_tokens"] == DEFAULT_MAX_TOKENS + 9000


def test_unknown_events_have_no_meaning() -> None:
    """Pings and blocks of other kinds are passed over; calls are numbered from 0 among themselves."""
    start = {
        "type": "content_block_start",
        "content_block": {"type": "tool_use", "id": "a", "name": "f", "input": {}},
    }
    hidden = {"type": "redacted_thinking", "data": "x"}
    nothing = {"type": "input_json_delta", "partial_json": ""}  # the API's first
    events = [
        EVENTS.validate_python({"type": "content_block_start", "index": 0, "content_block": hidden}),
        EVENTS.validate_python({"type": "content_block_stop", "index": 0}),
        EVENTS.validate_python(start | {"index": 1}),
        EVENTS.validate_python({"type": "content_block_delta", "index": 1, "delta": nothing}),
    ]
    assert list(decoded(events)) == [ToolCallDelta(index=0, id="a", name="f")]


def test_figures_that_a_stream_does_not_tell_again_stay() -> None:
    """The last event may tell the output alone; the prompt's figures are those of the first."""
    usage = {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1}
    message = {"id": "1", "model": "m", "type": "message", "role": "assistant", "content": [], "usage": usage}
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
    wire = [{"type": "message_start", "message": message}, last, {"type": "message_stop"}]
    started, finished = decoded([EVENTS.validate_python(event) for event in wire])
    prompt = Usage(input_tokens=12, cached_tokens=7)
    assert started == Started(id="1", model="m", usage=prompt)
    assert finished == Finished(stop_reason="stop", usage=prompt + Usage(output_tokens=9))


def test_places_without_a_name_here_are_not_cited() -> None:
    """A citation of a part of a document, of a page or of a search result is passed over."""
    place = {"document_index": 0, "document_title": None, "start_block_index": 0, "end_block_index": 1}
    cited = {"type": "content_block_location", "cited_text": "x", **place}
    block = {"type": "text", "text": "x", "citations": [cited]}
    data = MESSAGES.encode(CALL, [Completion(id="1", model="m")], 7)
    answer = SdkMessage.model_validate({**data, "content": [block]})
    assert decode_completion(answer) == Completion(id="1", model="m", text="x")


def test_a_stream_without_its_end_does_not_finish() -> None:
    """Without message_stop there is no Finished event."""
    data = encoded_stream(Completion(id="1", model="m", text="a b"))
    events = list(decoded(read_by_sdk([data[: data.index(b"event: message_stop")]])))
    assert events[-1].type == "text"


def test_two_limits_on_tokens_are_told_as_their_sum_besides() -> None:
    """Where input and output are limited apart, ``tokens`` is the sum of both."""
    now = datetime(2025, 1, 1, tzinfo=UTC)
    apart = [LimitState("input-tokens", 10, 4, 1), LimitState("output-tokens", 5, -1, 2)]
    headers = DIALECT.limit_headers(apart, now)
    names = [name for name in headers if name.startswith("anthropic-ratelimit-tokens")]
    assert [headers[name] for name in names] == ["15", "4", "2025-01-01T00:00:02.000Z"]
    assert DIALECT.limit_headers([LimitState("tokens", 9, 9, 0), *apart], now)[names[0]] == "9"


def test_limits_are_told_with_the_date_of_their_reset() -> None:
    """The full bucket's date is in RFC 3339, rounded up to the millisecond."""
    now = datetime(2025, 1, 1, 23, 59, 59, tzinfo=UTC)
    assert DIALECT.limit_headers([LimitState("input-tokens", 10, -3, 1.0001)], now) == {
        "anthropic-ratelimit-input-tokens-limit": "10",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2025-01-02T00:00:00.001Z",
    }


@pytest.mark.parametrize(("seconds", "after"), [(0.02, "1"), (1.0, "1"), (1.001, "2")])
def test_retry_after_is_in_whole_seconds(seconds: float, after: str) -> None:
    """The only header that says how long to wait counts whole seconds, rounded up."""
    assert DIALECT.retry_headers(seconds) == {"retry-after": after}


@pytest.mark.parametrize(
    ("kind", "status", "type_"),
    [
        ("invalid_request", 400, "invalid_request_error"),
        ("authentication", 401, "authentication_error"),
        ("permission", 403, "permission_error"),
        ("not_found", 404, "not_found_error"),
        ("too_large", 413, "request_too_large"),
        ("rate_limit", 429, "rate_limit_error"),
        ("quota", 400, "invalid_request_error"),
        ("server_error", 500, "api_error"),
        ("overloaded", 529, "overloaded_error"),
    ],
)
def test_each_error_has_its_status_and_type(kind: Any, status: int, type_: str) -> None:
    """Every kind of error is put into Anthropic's words."""
    found, data = DIALECT.encode_error(WireError(kind, "Sorry."), "req_1")
    assert found == status
    error = {"type": type_, "message": "Sorry."}
    assert json.loads(data) == {"type": "error", "error": error, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"x-api-key": "abc"}, "abc"),
        ({"authorization": "Bearer abc"}, "abc"),
        ({"x-api-key": "abc", "authorization": "Bearer def"}, "abc"),
        ({"authorization": "Basic abc"}, None),
        ({}, None),
    ],
)
def test_the_key_stands_in_either_header(headers: dict[str, str], key: str | None) -> None:
    """The key is in x-api-key, or is the bearer token."""
    assert DIALECT.api_key(headers.get) == key

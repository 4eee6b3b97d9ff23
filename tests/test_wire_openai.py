"""OpenAI's protocol: our encoders judged by the real SDK, our decoders by our encoders."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.strategies import JSON, NAMES, TEXTS, TOKENS
from workbench.events import Accumulator, Event, split
from workbench.messages import (
    Completion,
    Document,
    Message,
    Request,
    ResponseFormat,
    Role,
    Tool,
    ToolCall,
    Usage,
)
from workbench.wire.dialect import Call, LimitState, WireError, compact
from workbench.wire.openai import CHAT, OpenAIDialect
from workbench.wire.openai_answer import StreamDecoder, decode_completion
from workbench.wire.openai_request import EFFORTS, encode_request

DIALECT = OpenAIDialect()
CALL = Call(request=Request(model="m", messages="?"))  # type: ignore[arg-type]
USAGES = st.builds(
    Usage, input_tokens=TOKENS, output_tokens=TOKENS, cached_tokens=TOKENS, thinking_tokens=TOKENS
)
CALLS = st.builds(ToolCall, id=st.text(min_size=1, max_size=9), name=NAMES, arguments=TEXTS)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    """Answers that OpenAI's protocol can say: text or calls, and a reason that goes with them."""
    calls, text = tuple(draw(st.lists(CALLS, max_size=3))), draw(TEXTS)
    reasons = ["tool_calls", "length"] if calls else ["stop", "length", *(["refusal"] if text else [])]
    return Completion(
        id=draw(st.text(min_size=1)),
        model=draw(st.text(min_size=1)),
        text=text,
        tool_calls=calls,
        stop_reason=draw(st.sampled_from(reasons)),
        usage=draw(USAGES),
    )


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """A message, or an assistant's calls with the result of each."""
    roles: list[Role] = ["system", "user", "assistant"]
    role = draw(st.sampled_from(roles))
    calls = draw(st.lists(CALLS, max_size=2, unique_by=lambda call: call.id)) if role == "assistant" else []
    results = [Message(role="tool", content=draw(TEXTS), tool_call_id=call.id) for call in calls]
    return [Message(role=role, content=draw(TEXTS), tool_calls=tuple(calls)), *results]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any request of ours."""
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    takes: list[dict[str, Any]] = [{"parameters": schema}, {}, {"free_text": True}]
    tools = [
        Tool(name=name, description=draw(TEXTS), **draw(st.sampled_from(takes)))
        for name in draw(st.lists(NAMES, unique=True, max_size=3))
    ]
    choices = ["auto", "none", "required", *(tool.name for tool in tools)] if tools else ["auto"]
    return Request(
        model=draw(st.text()),
        messages=tuple(
            message for turn in draw(st.lists(turns(), min_size=1, max_size=4)) for message in turn
        ),
        tools=tuple(tools),
        tool_choice=draw(st.sampled_from(choices)),
        parallel_tool_calls=draw(st.booleans()) if tools else True,
        response_format=draw(st.none() | st.just(ResponseFormat(name="n", json_schema=schema))),
        max_tokens=draw(st.none() | st.integers(1, 999)),
        stop=tuple(draw(st.lists(TEXTS, max_size=3))),
        temperature=draw(st.none() | st.floats(0, 2)),
        thinking_tokens=draw(st.none() | st.sampled_from(sorted(EFFORTS.values()))),
    )


def encoded_stream(answers: list[Completion], *, include_usage: bool = True) -> bytes:
    """The bytes of the stream that says `answers`, choice by choice."""
    encoder = CHAT.stream(Call(CALL.request, n=len(answers), include_usage=include_usage), 7, 0)
    said = [encoder.encode(event, index) for index, answer in enumerate(answers) for event in split(answer)]
    return b"".join(said) + encoder.end()


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at any places."""
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(at)]


def read_by_sdk(chunks: list[bytes]) -> list[ChatCompletionChunk]:
    """What the real SDK makes of a response's bytes."""

    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter(chunks))

    with openai.OpenAI(
        api_key="k",
        base_url="http://x.invalid",
        http_client=httpx2.Client(transport=httpx2.MockTransport(handle)),
    ) as client:
        return list(client.chat.completions.create(model="m", messages=[], stream=True))


def decoded(chunks: list[ChatCompletionChunk]) -> Iterator[Event]:
    """Our events of the SDK's objects."""
    decoder = StreamDecoder()
    for chunk in chunks:
        yield from decoder.decode(chunk)
    yield from decoder.end()


@given(completions())
def test_a_completion_survives_the_sdk(completion: Completion) -> None:
    """Encoded, read by the SDK's model and decoded, an answer is the same."""
    data = compact(CHAT.encode(CALL, [completion], 7))
    assert decode_completion(ChatCompletion.model_validate_json(data)) == completion


@settings(max_examples=25)
@given(completions(), st.lists(st.integers(0), max_size=30))
def test_a_stream_survives_the_sdk_however_it_is_cut(completion: Completion, cuts: list[int]) -> None:
    """A stream cut at any bytes, read by the SDK and decoded, says the same answer."""
    accumulator = Accumulator()
    for event in decoded(read_by_sdk(pieces_of(encoded_stream([completion]), cuts))):
        accumulator.add(event)
    assert accumulator.completion() == completion


@settings(max_examples=25)
@given(completions())
def test_a_stream_may_come_byte_by_byte(completion: Completion) -> None:
    """A stream of single bytes is understood."""
    data = encoded_stream([completion.model_copy(update={"text": "naïve 日本 🙂"})])
    chunks = read_by_sdk([data[i : i + 1] for i in range(len(data))])
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "naïve 日本 🙂"


@settings(max_examples=40)
@given(st.lists(completions(), min_size=1, max_size=3), st.booleans())
def test_chunks_have_the_shape_of_the_api(answers: list[Completion], include_usage: bool) -> None:
    """Each chunk is valid to the SDK's strict model; choices open once; usage comes last, if asked for."""
    *lines, done = encoded_stream(answers, include_usage=include_usage).decode().split("\n\n")[:-1]
    assert done == "data: [DONE]"
    chunks = [ChatCompletionChunk.model_validate_json(line.removeprefix("data: ")) for line in lines]
    usage = [chunk for chunk in chunks if not chunk.choices]
    assert len(usage) == include_usage
    assert all(chunk.usage is None for chunk in chunks if chunk.choices)
    for index in range(len(answers)):
        own = [chunk.choices[0] for chunk in chunks if chunk.choices and chunk.choices[0].index == index]
        assert [choice.delta.role for choice in own] == ["assistant"] + [None] * (len(own) - 1)
        assert [choice.finish_reason for choice in own[:-1]] == [None] * (len(own) - 1)
        assert own[-1].finish_reason is not None
    if usage and usage[0].usage:
        assert usage[0].usage.completion_tokens == sum(answer.usage.output_tokens for answer in answers)


@settings(max_examples=40)
@given(requests())
def test_a_request_survives(request: Request) -> None:
    """The SDK's arguments, sent as JSON and decoded as a server would, ask the same."""
    assert CHAT.decode(json.loads(json.dumps(encode_request(request)))).request == request


@given(
    JSON
    | st.fixed_dictionaries(
        {"model": JSON, "messages": JSON},
        optional=dict.fromkeys(
            ["n", "stop", "stream", "tools", "tool_choice", "response_format", "temperature", "max_tokens"],
            JSON,
        ),
    )
)
def test_any_json_is_understood_or_refused(body: Any) -> None:
    """Whatever JSON comes, it is a call or a WireError of kind invalid_request."""
    try:
        call = CHAT.decode(body)
    except WireError as error:
        status, data = DIALECT.encode_error(error, "req_1")
        assert status == 400
        assert json.loads(data)["error"]["type"] == "invalid_request_error"
    else:
        assert call.request.messages


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        pytest.param({"model": None}, "model", "invalid_type", id="type"),
        pytest.param({"messages": []}, "messages", "invalid_value", id="no messages"),
        pytest.param({"messages": [{"role": "bot"}]}, "messages[0].role", "invalid_value", id="role"),
        pytest.param(
            {"messages": [{"role": "tool", "content": ""}]},
            "messages[0].tool_call_id",
            "missing_required_parameter",
            id="tool without call",
        ),
        pytest.param({"temperature": 3}, "temperature", "invalid_value", id="temperature"),
        pytest.param({"max_tokens": 0}, "max_tokens", "invalid_value", id="no tokens"),
        pytest.param({"tool_choice": "required"}, None, "invalid_value", id="no tools to choose from"),
    ],
)
def test_a_refusal_names_the_parameter(change: dict[str, Any], param: str | None, code: str) -> None:
    """A wrong request is refused with the place and the code that OpenAI gives."""
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}], **change}
    with pytest.raises(WireError) as caught:
        CHAT.decode(body)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_a_missing_parameter_is_named() -> None:
    """A request without its messages is refused as OpenAI does."""
    with pytest.raises(WireError, match=r"Missing required parameter: 'messages'\."):
        CHAT.decode({"model": "m"})


def test_parts_of_a_message_are_joined() -> None:
    """Content in parts is read as its texts; other parts are let through."""
    parts = [
        {"type": "text", "text": "one"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": "two"},
    ]
    body = {"model": "m", "messages": [{"role": "developer", "content": parts}], "stop": "x"}
    request = CHAT.decode(body).request
    assert request.messages == (Message(role="system", content="one\ntwo"),)
    assert request.stop == ("x",)


def test_documents_come_before_the_words() -> None:
    """A message's documents are sent as parts of its text, and read again as such."""
    documents = (Document(text="The manual."), Document(text="The index."))
    message = Message(role="user", content="Why?", documents=documents)
    read = CHAT.decode(encode_request(Request(model="m", messages=(message,)))).request
    assert read.messages == (Message(role="user", content="The manual.\nThe index.\nWhy?"),)


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "null"}}}, {"type": "null"}),
    ],
)
def test_response_formats(wanted: dict[str, Any], schema: dict[str, Any] | None) -> None:
    """The three forms of `response_format` are understood."""
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}], "response_format": wanted}
    found = CHAT.decode(body).request.response_format
    assert (found and found.json_schema) == schema


def test_a_forced_call_and_a_refusal_stop_by_stop() -> None:
    """OpenAI says "stop" of a call forced by its name and of a refusal: we tell them apart."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    for message, reason in (
        ({"content": None, "tool_calls": [call]}, "tool_calls"),
        ({"content": None, "refusal": "I cannot."}, "refusal"),
        ({"content": "Yes."}, "stop"),
    ):
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        assert decode_completion(ChatCompletion.model_validate(answer)).stop_reason == reason
        delta = {**message, **({"tool_calls": [{"index": 0, **call}]} if "tool_calls" in message else {})}
        chunk = answer | {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "finish_reason": "stop", "delta": delta}],
        }
        *_, finished = decoded([ChatCompletionChunk.model_validate(chunk)])
        assert finished.type == "finished"
        assert finished.stop_reason == reason


def test_only_the_first_choice_is_read() -> None:
    """Of a stream with several choices the first is the answer."""
    answers = [Completion(id="1", model="m", text=text) for text in ("one two", "three")]
    accumulator = Accumulator()
    for event in decoded(read_by_sdk([encoded_stream(answers)])):
        accumulator.add(event)
    assert accumulator.completion().text == "one two"


def test_a_stream_without_its_end_does_not_finish() -> None:
    """Without a finish reason there is no Finished event."""
    data = encoded_stream([Completion(id="1", model="m", text="a b")])
    events = list(decoded(read_by_sdk([data[: data.index(b'"finish_reason":"stop"') - 200]])))
    assert [event.type for event in events][-1] != "finished"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.02, "20ms"),
        (0.9996, "1s"),
        (1.5, "1.5s"),
        (59.9999, "1m0s"),
        (360, "6m0s"),
        (7384, "2h3m4s"),
    ],
)
def test_durations_are_written_in_gos_way(seconds: float, text: str) -> None:
    """The time to a full bucket is a duration as OpenAI writes it, rounded up to the millisecond."""
    headers = DIALECT.limit_headers([LimitState("requests", 10, 3.9999999999, seconds)], datetime.now(UTC))
    assert headers == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "4",
        "x-ratelimit-reset-requests": text,
    }


@pytest.mark.parametrize(
    ("seconds", "after", "after_ms"), [(0.0200001, "1", "21"), (0.02, "1", "20"), (2.0, "2", "2000")]
)
def test_retry_after_is_in_seconds_and_milliseconds(seconds: float, after: str, after_ms: str) -> None:
    """Both headers are rounded up, so that nobody comes back too early."""
    assert DIALECT.retry_headers(seconds) == {"retry-after": after, "retry-after-ms": after_ms}


@pytest.mark.parametrize(
    ("kind", "status", "type_", "code"),
    [
        ("invalid_request", 400, "invalid_request_error", None),
        ("authentication", 401, "invalid_request_error", "invalid_api_key"),
        ("permission", 403, "invalid_request_error", "insufficient_permissions"),
        ("not_found", 404, "invalid_request_error", None),
        ("too_large", 413, "invalid_request_error", "request_too_large"),
        ("rate_limit", 429, "requests", "rate_limit_exceeded"),
        ("quota", 429, "insufficient_quota", "insufficient_quota"),
        ("server_error", 500, "server_error", None),
        ("overloaded", 503, "server_error", None),
    ],
)
def test_each_error_has_its_status_type_and_code(
    kind: Any, status: int, type_: str, code: str | None
) -> None:
    """Every kind of error is put into OpenAI's words."""
    found, data = DIALECT.encode_error(WireError(kind, "Sorry."), "req_1")
    assert found == status
    assert json.loads(data) == {"error": {"message": "Sorry.", "type": type_, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("header", "key"),
    [("Bearer abc", "abc"), ("bearer abc", "abc"), ("Basic abc", None), ("Bearer ", None), (None, None)],
)
def test_the_key_is_the_bearer_token(header: str | None, key: str | None) -> None:
    """The key stands in the authorization header, after the word Bearer."""
    assert DIALECT.api_key({"authorization": header}.get) == key

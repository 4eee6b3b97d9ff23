"""OpenAI's Responses API on the wire: both directions agree, and the real SDK understands every byte."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import CompactedResponse, Response, ResponseItem, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.strategies import JSON, NAMES, TEXTS, TOKENS
from workbench.events import Accumulator, Event, Started, split
from workbench.messages import Completion, Document, Message, Request, ResponseFormat, Tool, ToolCall, Usage
from workbench.wire.dialect import Call, WireError, compact
from workbench.wire.openai import OpenAIDialect
from workbench.wire.openai_request import EFFORTS
from workbench.wire.responses_answer import (
    decode_completion,
    encode_compaction,
    encode_completions,
    unfinished,
)
from workbench.wire.responses_items import seal
from workbench.wire.responses_request import decode_compact, decode_request, encode_request
from workbench.wire.responses_shapes import identify
from workbench.wire.responses_stream import StreamDecoder, StreamEncoder

ASKED: dict[str, Any] = {"model": "m", "input": "?"}
OPEN = {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
SQL = {"type": "custom", "name": "sql"}  # it takes free text
CALL = decode_request(ASKED | OPEN | {"tools": [SQL]})
EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
ITEMS: TypeAdapter[ResponseItem] = TypeAdapter(ResponseItem)
USAGES = st.builds(
    Usage,
    input_tokens=TOKENS,
    output_tokens=TOKENS,
    cached_tokens=TOKENS,
    cache_write_tokens=TOKENS,
    thinking_tokens=TOKENS,
)
CALLS = st.builds(ToolCall, id=st.text(min_size=1, max_size=9), name=NAMES | st.just("sql"), arguments=TEXTS)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    """Answers that the protocol can say: a refusal is a text, and comes without calls."""
    calls = tuple(draw(st.lists(CALLS, max_size=3, unique_by=lambda call: call.id)))
    reasons = ["tool_calls", "length"] if calls else ["stop", "length", "refusal"]
    return Completion(
        id=draw(st.text(min_size=1)),
        model=draw(st.text(min_size=1)),
        text=draw(TEXTS),
        thinking=draw(TEXTS),
        signature=draw(st.text(max_size=5)),
        tool_calls=calls,
        stop_reason=draw(st.sampled_from(reasons)),
        usage=draw(USAGES),
    )


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Turns in which each call has its result, and the assistant speaks once at a time."""
    messages: list[Message] = []
    for number in range(draw(st.integers(1, 4))):
        messages.append(Message(role=draw(st.sampled_from(["system", "user"])), content=draw(TEXTS)))
        calls = [
            call.model_copy(update={"id": f"{number}/{index}"})
            for index, call in enumerate(draw(st.lists(CALLS, max_size=2)))
        ]
        answer = Message(
            role="assistant",
            content=draw(TEXTS),
            thinking=draw(TEXTS),
            signature=draw(st.text(max_size=5)),
            tool_calls=tuple(calls),
        )
        results = [Message(role="tool", content=draw(TEXTS), tool_call_id=call.id) for call in calls]
        messages += draw(st.sampled_from([[], [answer, *results]]))
    return messages


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any request of ours that this API can say."""
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    tools = [
        Tool(
            name=name, description=draw(TEXTS), parameters=draw(st.sampled_from([schema, {"type": "object"}]))
        )
        for name in draw(st.lists(NAMES, unique=True, max_size=3))
    ]
    tools += draw(st.sampled_from([[], [Tool(name="sql", free_text=True)]]))
    choices = ["auto", "none", "required", *(tool.name for tool in tools)] if tools else ["auto"]
    return Request(
        model=draw(st.text()),
        messages=tuple(draw(conversations())),
        tools=tuple(tools),
        tool_choice=draw(st.sampled_from(choices)),
        parallel_tool_calls=draw(st.booleans()) if tools else True,
        response_format=draw(st.none() | st.just(ResponseFormat(name="n", json_schema=schema))),
        max_tokens=draw(st.none() | st.integers(16, 999)),
        temperature=draw(st.none() | st.floats(0, 2)),
        thinking_tokens=draw(st.none() | st.sampled_from(list(EFFORTS.values()))),
    )


def encoded_stream(answer: Completion, call: Call = CALL, after: int = -1, *, queued: bool = False) -> bytes:
    """The bytes of the stream that says `answer`."""
    encoder = StreamEncoder(call, 7, 0, after)
    head = encoder.queue(Started(id=answer.id, model=answer.model)) if queued else b""
    return head + b"".join(encoder.encode(event) for event in split(answer)) + encoder.end()


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at any places."""
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(at)]


def client_of(chunks: list[bytes]) -> openai.OpenAI:
    """The real SDK's client of a server that answers by these bytes."""

    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter(chunks))

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    return openai.OpenAI(api_key="k", base_url="http://x.invalid", http_client=http)


def read_by_sdk(chunks: list[bytes]) -> list[Any]:
    """The raw events that the SDK reads."""
    with client_of(chunks) as client:
        return list(client.responses.create(model="m", input="?", stream=True))


def decoded(events: list[Any]) -> Iterator[Event]:
    """Our events of the SDK's objects."""
    decoder = StreamDecoder()
    for event in events:
        yield from decoder.decode(event)
    yield from decoder.end()


def wire_events(data: bytes) -> list[dict[str, Any]]:
    """The JSON of each event; its name is its type."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        name, body = block.split("\n")
        event = json.loads(body.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


@settings(max_examples=40)
@given(completions())
def test_a_completion_survives_the_sdk(completion: Completion) -> None:
    """Encoded, read by the SDK's strict model and decoded, an answer is the same."""
    data = compact(encode_completions(CALL, [completion], 7))
    assert decode_completion(Response.model_validate_json(data)) == completion


@settings(max_examples=25)
@given(completions(), st.lists(st.integers(0), max_size=30))
def test_a_stream_survives_the_sdk_however_it_is_cut(completion: Completion, cuts: list[int]) -> None:
    """A stream cut at any bytes, read by the SDK and decoded, says the same answer."""
    accumulator = Accumulator()
    for event in decoded(read_by_sdk(pieces_of(encoded_stream(completion), cuts))):
        accumulator.add(event)
    assert accumulator.completion() == completion


@settings(max_examples=25)
@given(
    completions().filter(lambda answer: answer.stop_reason != "length"), st.lists(st.integers(0), max_size=30)
)
def test_the_sdks_helper_puts_the_whole_answer_together(completion: Completion, cuts: list[int]) -> None:
    """What `responses.stream` accumulates, however the bytes are cut, is the answer that is not streamed."""
    client = client_of(pieces_of(encoded_stream(completion), cuts))
    with client, client.responses.stream(model="m", input="?") as stream:
        accumulated = stream.get_final_response()
    assert decode_completion(accumulated) == completion


def test_a_stream_may_come_byte_by_byte() -> None:
    """A stream of single bytes is understood."""
    data = encoded_stream(Completion(id="1", model="m", text="naïve 日本 🙂"))
    events = decoded(read_by_sdk([data[i : i + 1] for i in range(len(data))]))
    assert "".join(getattr(event, "text", "") for event in events) == "naïve 日本 🙂"


@settings(max_examples=25)
@given(completions(), st.booleans(), st.booleans(), st.booleans(), st.sampled_from([None, 0, 2]))
def test_events_are_in_the_order_of_the_api(
    completion: Completion, summary: bool, encrypted: bool, queued: bool, logprobs: int | None
) -> None:
    """Numbers without a gap, items opened before they are filled and closed as they stand in the answer."""
    options = {"summary": summary, "encrypted": encrypted, "logprobs": logprobs}
    call = Call(CALL.request, options={**CALL.options, **options})
    events = wire_events(encoded_stream(completion, call, queued=queued))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        EVENTS.validate_python(event)
    head = ["created", "queued", "in_progress"] if queued else ["created", "in_progress"]
    assert [event["type"] for event in events[: len(head)]] == [f"response.{name}" for name in head]
    whole = encode_completions(call, [completion], 7)
    assert events[-1]["response"] == whole
    assert events[-1]["type"] == f"response.{whole['status']}"
    of_items = events[len(head) : -1]
    assert [event["output_index"] for event in of_items] == sorted(e["output_index"] for e in of_items)
    for index, item in enumerate(events[-1]["response"]["output"]):
        first, *middle, last = [event for event in of_items if event["output_index"] == index]
        assert (first["type"], first["item"]["id"]) == ("response.output_item.added", item["id"])
        assert (last["type"], last["item"]) == ("response.output_item.done", item)
        assert {event["item_id"] for event in middle} <= {item["id"]}
        deltas = "".join(event["delta"] for event in middle if event["type"].endswith(".delta"))
        done = [e for e in middle if e["type"].endswith(".done") and not e["type"].endswith("part.done")]
        assert [
            next(event[n] for n in ("text", "refusal", "arguments", "input") if n in event) for event in done
        ] == ([deltas] if done else [])
        said = [token for event in middle for token in event.get("logprobs", ()) if "delta" in event]
        assert said == [t for part in item.get("content", ()) for t in part.get("logprobs", ())]
        assert "".join(token["token"] for token in said) in ("", deltas)


@given(completions(), st.integers(-1, 60))
def test_a_stream_is_taken_up_again_where_it_was_left(completion: Completion, after: int) -> None:
    """Behind any event, the rest of the stream is what it would have been."""
    whole = wire_events(encoded_stream(completion, queued=True))
    rest = wire_events(encoded_stream(completion, after=after, queued=True))
    assert rest == whole[after + 1 :]


@settings(max_examples=40)
@given(requests())
def test_a_request_survives(request: Request) -> None:
    """The SDK's arguments, sent as JSON and decoded as a server would, ask the same."""
    assert decode_request(json.loads(json.dumps(encode_request(request)))).request == request


@settings(max_examples=40)
@given(requests(), completions().filter(lambda c: not c.tool_calls), TEXTS)
def test_a_conversation_goes_on_from_what_is_stored(request: Request, answer: Completion, text: str) -> None:
    """The stored items, as they are listed and validated by the SDK, are the conversation that was had."""
    call = decode_request(encode_request(request))
    output: Any = encode_completions(CALL, [answer], 7)["output"]
    history = [*identify(call.options["input"], "resp_1"), *output]
    for item in history:
        ITEMS.validate_python(item)
    messages = decode_request(ASKED | {"input": text}, history).request.messages
    assert messages[: len(request.messages)] == request.messages
    assert messages[-1] == Message(role="user", content=text)
    said = messages[len(request.messages) : -1]
    assert "".join(message.content for message in said) == answer.text


def test_documents_are_texts() -> None:
    """What a message brings along stands in front of it."""
    message = Message(role="user", content="Why?", documents=(Document(text="Because."),))
    request = decode_request(encode_request(Request(model="m", messages=(message,)))).request
    assert request.text == "Because.\nWhy?"


def test_stop_sequences_cannot_be_said() -> None:
    """A request that this API cannot express is refused, not sent without them."""
    with pytest.raises(ValueError, match=r"no stop sequences.*'END'"):
        encode_request(Request.model_validate({"model": "m", "messages": "?", "stop": "END"}))


@pytest.mark.parametrize(("tokens", "effort"), [(1, "minimal"), (17, "low"), (10**6, "max")])
def test_the_least_effort_that_is_enough(tokens: int, effort: str) -> None:
    """An allowance of tokens is asked for as the least effort that grants it."""
    request = Request.model_validate({"model": "m", "messages": "?", "thinking_tokens": tokens})
    assert encode_request(request)["reasoning"]["effort"] == effort


@given(
    JSON
    | st.fixed_dictionaries(
        {"model": JSON, "input": JSON},
        optional=dict.fromkeys(
            [
                "tools",
                "tool_choice",
                "text",
                "temperature",
                "max_output_tokens",
                "reasoning",
                "include",
                "metadata",
            ],
            JSON,
        ),
    )
    | st.fixed_dictionaries(
        {"model": st.just("m")},
        optional={
            "input": st.lists(
                st.fixed_dictionaries({"type": st.sampled_from(["message", "reasoning"])}) | JSON
            ),
            "tools": st.lists(st.fixed_dictionaries({"type": st.just("function"), "name": JSON})),
        },
    )
)
def test_any_json_is_understood_or_refused(body: Any) -> None:
    """Whatever JSON comes, it is a call or a WireError of kind invalid_request."""
    for decode in (decode_request, decode_compact):
        try:
            call = decode(body)
        except WireError as error:
            status, data = OpenAIDialect().encode_error(error, "req_1")
            assert status == 400
            assert json.loads(data)["error"]["type"] == "invalid_request_error"
        else:
            assert call.request.messages


def user(content: Any) -> dict[str, Any]:
    """A message."""
    return {"role": "user", "content": content}


ORPHAN = {"type": "function_call_output", "call_id": "c", "output": "14"}
OPEN_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        pytest.param({"model": None}, "model", "invalid_type", id="type"),
        pytest.param({"input": None}, "input", "missing_required_parameter", id="no input"),
        pytest.param({"input": []}, "input", "missing_required_parameter", id="empty input"),
        pytest.param({"input": 5}, "input", "invalid_type", id="input of another type"),
        pytest.param({"input": ["a"]}, "input[0]", "invalid_type", id="an item that is none"),
        pytest.param(
            {"input": [{"role": "bot", "content": ""}]}, "input[0].role", "invalid_value", id="role"
        ),
        pytest.param({"input": [{"type": "song"}]}, "input[0]", "invalid_value", id="kind of item"),
        pytest.param(
            {"input": [{"type": "function_call"}]},
            "input[0].call_id",
            "missing_required_parameter",
            id="call",
        ),
        pytest.param(
            {"input": [user([{"type": "input_text"}])]},
            "input[0].content[0].text",
            "missing_required_parameter",
            id="part",
        ),
        pytest.param({"input": [ORPHAN]}, "input", None, id="output without call"),
        pytest.param({"input": [OPEN_CALL]}, "input", None, id="call without output"),
        pytest.param(
            {"input": [{"type": "compaction", "encrypted_content": "?"}]},
            "input",
            "invalid_encrypted_content",
            id="compaction",
        ),
        pytest.param({"max_output_tokens": 15}, "max_output_tokens", "invalid_value", id="too few tokens"),
        pytest.param({"metadata": {"a": 1}}, "metadata.a", "invalid_type", id="metadata"),
        pytest.param({"reasoning": {"effort": "some"}}, "reasoning.effort", "invalid_value", id="effort"),
        pytest.param({"temperature": 3}, "temperature", "invalid_value", id="temperature"),
        pytest.param(
            {"text": {"format": {"type": "json_schema"}}},
            "text.format.name",
            "missing_required_parameter",
            id="format",
        ),
        pytest.param(
            {"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter", id="tool"
        ),
        pytest.param({"tool_choice": "required"}, "tool_choice", None, id="no tools to choose from"),
        pytest.param(
            {"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", None, id="no such tool"
        ),
        pytest.param({"background": True, "store": False}, "background", None, id="background without store"),
    ],
)
def test_a_refusal_names_the_parameter(change: dict[str, Any], param: str, code: str | None) -> None:
    """A wrong request is refused with the place and the code that OpenAI gives."""
    with pytest.raises(WireError) as caught:
        decode_request(ASKED | change)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_a_call_and_its_output_must_meet() -> None:
    """The refusals say which call is meant, as OpenAI does."""
    for item, said in (
        (ORPHAN, "No tool call found for function call output with call_id c."),
        (OPEN_CALL, "No tool output found for function call c."),
    ):
        with pytest.raises(WireError) as caught:
            decode_request(ASKED | {"input": [user("?"), item]})
        assert caught.value.message == said


def test_parts_of_a_message_are_joined() -> None:
    """Content in parts is read as its texts; what is not text, and what other tools did, is let through."""
    items = [
        {
            "role": "developer",
            "content": [{"type": "input_text", "text": "one"}, {"type": "input_image", "image_url": ""}],
        },
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ]
    request = decode_request(ASKED | {"input": items}).request
    assert request.messages == (
        Message(role="system", content="one"),
        Message(role="assistant", content="No."),
    )


def test_instructions_come_first() -> None:
    """The instructions are the system's message, before all others."""
    request = decode_request(ASKED | {"instructions": "Be brief."}).request
    assert request.messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="?"),
    )


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "name": "n", "schema": {"type": "null"}}, {"type": "null"}),
    ],
)
def test_text_formats(wanted: dict[str, Any], schema: dict[str, Any] | None) -> None:
    """The three forms of `text.format` are understood."""
    found = decode_request(ASKED | {"text": {"format": wanted}}).request.response_format
    assert (found and found.json_schema) == schema


FUNCTIONS = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in "fg"]


@pytest.mark.parametrize(
    ("tools", "choice", "expected", "names"),
    [
        (FUNCTIONS, "required", "required", "fg"),
        (FUNCTIONS, {"type": "function", "name": "g"}, "g", "fg"),
        (
            FUNCTIONS,
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
            "required",
            "g",
        ),
        ([*FUNCTIONS, {"type": "web_search"}], {"type": "web_search"}, "auto", "fg"),
        ([{"type": "web_search"}], "required", "auto", ""),
    ],
)
def test_tool_choices(tools: list[Any], choice: Any, expected: str, names: str) -> None:
    """All forms of `tool_choice` are understood; tools of the provider's own are never called."""
    request = decode_request(ASKED | {"tools": tools, "tool_choice": choice}).request
    assert (request.tool_choice, "".join(tool.name for tool in request.tools)) == (expected, names)


@pytest.mark.parametrize(
    ("reasoning", "tokens"),
    [
        ({"effort": "none"}, None),
        ({"effort": "high"}, EFFORTS["high"]),
        ({"summary": "auto"}, EFFORTS["medium"]),
    ],
)
def test_efforts(reasoning: dict[str, Any], tokens: int | None) -> None:
    """The effort says how much may be thought; without one it is a medium one."""
    assert decode_request(ASKED | {"reasoning": reasoning}).request.thinking_tokens == tokens


@pytest.mark.parametrize("summary", [True, False])
@pytest.mark.parametrize("encrypted", [True, False])
def test_thoughts_are_shown_as_far_as_they_are_asked_for(summary: bool, encrypted: bool) -> None:
    """A reasoning item is always there; its summary and its encrypted form only on request."""
    call = Call(CALL.request, options={**CALL.options, "summary": summary, "encrypted": encrypted})
    answer = Completion(id="1", model="m", text="Yes.", thinking="Hm.", signature="s")
    output: Any = encode_completions(call, [answer], 7)["output"]
    assert output[0]["type"] == "reasoning"
    assert [part["text"] for part in output[0]["summary"]] == (["Hm."] if summary else [])
    assert output[0].get("encrypted_content") == ("s" if encrypted else None)


def test_a_request_is_repeated_in_its_response() -> None:
    """Parameters come back as they were given, and as their defaults where they were not."""
    given = {"metadata": {"a": "b"}, "temperature": 0.5, "conversation": "conv_1"}
    response = encode_completions(decode_request(ASKED | given), [Completion(id="1", model="m")], 7)
    assert response["metadata"] == {"a": "b"}
    assert response["temperature"] == 0.5
    assert response["conversation"] == {"id": "conv_1"}
    assert (response["top_p"], response["store"], response["tools"]) == (1.0, True, [])


def test_an_answer_that_the_limit_cut_off() -> None:
    """Its last item is incomplete, and the reason is told."""
    calls = tuple(ToolCall(id=name, name=name, arguments="{") for name in "fg")
    answer = Completion(id="1", model="m", tool_calls=calls, stop_reason="length")
    response: Any = encode_completions(CALL, [answer], 7)
    assert (response["status"], response["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled", "failed"])
def test_a_response_that_is_not_there(status: str) -> None:
    """As long as there is nothing, and when there never will be, the SDK's strict model reads that."""
    whole = encode_completions(CALL, [Completion(id="1", model="m", text="a")], 7)
    error = "Sorry." if status == "failed" else None
    response = Response.model_validate(unfinished(whole, status, error))
    assert (response.status, response.output, response.usage) == (status, [], None)
    assert (response.error and response.error.message) == error


def test_a_content_filter_is_a_refusal() -> None:
    """What a filter stopped is incomplete on the wire, and no matter of length."""
    whole = encode_completions(CALL, [Completion(id="1", model="m", text="a")], 7)
    stopped = whole | {
        "status": "incomplete",
        "incomplete_details": {"reason": "content_filter"},
        "usage": None,
    }
    completion = decode_completion(Response.model_validate(stopped))
    assert (completion.stop_reason, completion.usage) == ("refusal", Usage())


@given(st.lists(TEXTS, min_size=1, max_size=3), TEXTS)
def test_a_compacted_conversation_goes_on(questions: list[str], summary: str) -> None:
    """A compaction is valid to the SDK, and brings back what the users said, and the summary."""
    call = decode_compact(ASKED | {"input": [user(text) for text in questions]})
    assert len(call.request.messages) == len(questions) + 1
    answer = Completion(id="resp_1", model="m", text=summary)
    compaction = CompactedResponse.model_validate(encode_compaction(call, [answer], 7))
    items = [item.to_dict() for item in compaction.output]
    messages = decode_request(ASKED | {"input": [*items, user("And?")]}).request.messages
    assert [m.content for m in messages] == [*questions, summary, "And?"]


def test_a_compaction_that_is_not_ours() -> None:
    """Base64 of something else is refused, not failed upon."""
    for sealed in ("ä", "AA==", seal([])[:-1], "WzFd"):
        with pytest.raises(WireError, match="could not be verified"):
            decode_request(ASKED | {"input": [{"type": "compaction", "encrypted_content": sealed}]})


def test_a_stream_without_its_end_does_not_finish() -> None:
    """Without its last event there is no Finished."""
    data = encoded_stream(Completion(id="1", model="m", text="a b"))
    events = list(decoded(read_by_sdk([data[: data.index(b"event: response.completed")]])))
    assert [event.type for event in events] == ["started", "text", "text"]


@pytest.mark.parametrize(
    "data",
    [
        {"type": "error", "code": "server_error", "message": "Sorry.", "param": None, "sequence_number": 0},
        {
            "type": "response.failed",
            "sequence_number": 0,
            "response": unfinished(
                encode_completions(CALL, [Completion(id="1", model="m")], 7), "failed", "Sorry."
            ),
        },
    ],
    ids=["error", "failed"],
)
def test_a_provider_that_fails_in_the_middle_says_so(data: dict[str, Any]) -> None:
    """An event that tells of a failure is an error with its message."""
    with pytest.raises(ValueError, match=r"Sorry\."):
        list(StreamDecoder().decode(EVENTS.validate_python(data)))


def test_several_summaries_are_paragraphs() -> None:
    """The parts of a longer summary are kept apart, whole and streamed; unknown events are let through."""
    parts = [{"type": "summary_text", "text": text} for text in "ab"]
    whole = encode_completions(CALL, [Completion(id="1", model="m", thinking="?")], 7)
    output = [{"id": "rs_1", "type": "reasoning", "summary": parts}]
    assert decode_completion(Response.model_validate(whole | {"output": output})).thinking == "a\n\nb"
    place = {"item_id": "rs_1", "output_index": 0, "sequence_number": 0}
    events = [
        event
        for index, part in enumerate(parts)
        for event in (
            {"type": "response.reasoning_summary_part.added", "summary_index": index, "part": part, **place},
            {
                "type": "response.reasoning_summary_text.delta",
                "summary_index": index,
                "delta": part["text"],
                **place,
            },
            {"type": "response.reasoning_summary_part.done", "summary_index": index, "part": part, **place},
        )
    ]
    found = decoded([EVENTS.validate_python(event) for event in events])
    assert "".join(event.text for event in found if event.type == "thinking") == "a\n\nb"

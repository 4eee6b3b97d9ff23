"""Anthropic's messages, both directions.

Wire format: the Claude API reference, "Messages", "Streaming" and "Errors"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json

from workbench.events import Event, Finished, Started, TextDelta, ToolCallDelta
from workbench.messages import (
    Completion,
    Message,
    Request,
    ResponseFormat,
    StopReason,
    Tool,
    ToolCall,
    Usage,
)
from workbench.wire import sse
from workbench.wire.dialect import (
    Call,
    ErrorKind,
    LimitState,
    WireError,
    WireModel,
    compact,
    first_error,
    text_of,
)

__all__ = ["DEFAULT_MAX_TOKENS", "AnthropicDialect", "StreamDecoder", "decode_completion", "encode_request"]

DEFAULT_MAX_TOKENS = 4096  # the API demands a limit; this one is sent where the caller sets none

_STOPS: dict[StopReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
}
_STOP: dict[str, StopReason] = {
    **{wire: stop for stop, wire in _STOPS.items()},
    "stop_sequence": "stop",
    "model_context_window_exceeded": "length",
}

_ERRORS: dict[ErrorKind, tuple[int, str]] = {
    "invalid_request": (400, "invalid_request_error"),
    "authentication": (401, "authentication_error"),
    "permission": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"),
    "quota": (400, "invalid_request_error"),  # "Your credit balance is too low …"
    "server_error": (500, "api_error"),
    "overloaded": (529, "overloaded_error"),
}


# -- a request as it stands on the wire ---------------------------------------------------------------


class _TextBlock(WireModel):
    type: Literal["text"]
    text: str


class _ToolUseBlock(WireModel):
    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, JsonValue]


class _OtherBlock(WireModel):
    type: Literal["image", "document", "thinking", "redacted_thinking", "search_result"]


class _ToolResultBlock(WireModel):
    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[_TextBlock | _OtherBlock] | None = None


_Block = _TextBlock | _ToolUseBlock | _ToolResultBlock | _OtherBlock


class _Message(WireModel):
    role: Literal["user", "assistant"]
    content: str | list[_Block]


class _Tool(WireModel):
    name: str
    description: str | None = None
    input_schema: dict[str, JsonValue]


class _ToolChoice(WireModel):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Format(WireModel):
    type: Literal["json_schema"]
    json_schema: dict[str, JsonValue] = Field(alias="schema")


class _OutputConfig(WireModel):
    format: _Format | None = None


class _Body(WireModel):
    model: str
    messages: list[_Message] = Field(min_length=1)
    max_tokens: int = Field(ge=1)
    output_config: _OutputConfig | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    system: str | list[_TextBlock] | None = None
    temperature: float | None = Field(None, ge=0, le=1)
    tool_choice: _ToolChoice | None = None
    tools: list[_Tool] | None = None


_BODY = TypeAdapter(_Body)


def _refusal(error: ValidationError) -> WireError:
    _, loc, message = first_error(error)
    place = ".".join(str(part) for part in loc if isinstance(part, int) or part.isidentifier())
    return WireError("invalid_request", f"{place}: {message}", param=place or None)


def _decode_message(message: _Message) -> Iterator[Message]:
    """The messages that one wire message says: each tool result is one of its own."""
    if isinstance(message.content, str):
        yield Message(role=message.role, content=message.content)
        return
    rest: list[_Block] = []
    calls: list[ToolCall] = []
    for block in message.content:
        if isinstance(block, _ToolResultBlock):
            yield Message(role="tool", content=text_of(block.content), tool_call_id=block.tool_use_id)
        elif isinstance(block, _ToolUseBlock):
            calls.append(ToolCall(id=block.id, name=block.name, arguments=compact(block.input)))
        else:
            rest.append(block)
    if rest or calls:
        yield Message(role=message.role, content=text_of(rest), tool_calls=tuple(calls))


class AnthropicDialect:
    """Messages as a server speaks them."""

    name = "anthropic"
    path = "/v1/messages"
    request_id_header = "request-id"
    id_prefix = "msg_"
    call_id_prefix = "toolu_"

    def api_key(self, headers: Callable[[str], str | None]) -> str | None:
        """The ``x-api-key`` header, or the bearer token."""
        if key := headers("x-api-key"):
            return key
        scheme, _, key = (headers("authorization") or "").partition(" ")
        return key or None if scheme.lower() == "bearer" else None

    def decode_request(self, body: Any) -> Call:
        """Understand the JSON of ``POST /v1/messages``."""
        try:
            wire = _BODY.validate_python(body)
            return Call(request=self._request(wire), stream=bool(wire.stream))
        except ValidationError as error:
            raise _refusal(error) from error

    def _request(self, wire: _Body) -> Request:
        messages = [message for m in wire.messages for message in _decode_message(m)]
        if system := text_of(wire.system):
            messages.insert(0, Message(role="system", content=system))
        choice = wire.tool_choice or _ToolChoice(type="auto")
        wanted = wire.output_config and wire.output_config.format
        return Request(
            model=wire.model,
            messages=tuple(messages),
            tools=tuple(
                Tool(name=t.name, description=t.description or "", parameters=t.input_schema)
                for t in wire.tools or ()
            ),
            tool_choice=choice.name or {"any": "required"}.get(choice.type, choice.type),
            parallel_tool_calls=not choice.disable_parallel_tool_use,
            response_format=ResponseFormat(json_schema=wanted.json_schema) if wanted else None,
            max_tokens=wire.max_tokens,
            stop=tuple(wire.stop_sequences or ()),
            temperature=wire.temperature,
        )

    def encode_completions(self, completions: Sequence[Completion], created: int) -> bytes:
        """A ``message`` (the protocol knows no second choice)."""
        completion = completions[0]
        return compact(
            {
                **_message_head(completion.id, completion.model, completion.usage),
                "content": _encode_blocks(completion),
                "stop_reason": _stop_reason(completion),
                "stop_sequence": completion.stop_sequence,
            }
        ).encode()

    def stream_encoder(self, call: Call, created: int, input_tokens: int) -> _StreamEncoder:
        """Encode events as ``message_start``, content block events, ``message_delta``, ``message_stop``."""
        return _StreamEncoder(input_tokens)

    def encode_error(self, error: WireError, request_id: str) -> tuple[int, bytes]:
        """A ``{"type": "error"}`` object."""
        status, kind = _ERRORS[error.kind]
        body = {"type": kind, "message": error.message}
        wire = {"type": "error", "error": body, "request_id": request_id}
        return error.status or status, compact(wire).encode()

    def limit_headers(self, states: Iterable[LimitState], now: datetime) -> dict[str, str]:
        """``anthropic-ratelimit-*`` headers, with the date at which the bucket is full (RFC 3339)."""
        headers: dict[str, str] = {}
        for state in states:
            full = now + timedelta(seconds=state.reset_seconds)
            prefix = f"anthropic-ratelimit-{state.name}"
            headers[f"{prefix}-limit"] = str(int(state.limit))
            headers[f"{prefix}-remaining"] = str(max(0, int(state.remaining)))
            headers[f"{prefix}-reset"] = full.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return headers


def _message_head(message_id: str, model: str, usage: Usage) -> dict[str, object]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": usage.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": usage.output_tokens,
        },
    }


def _stop_reason(answer: Completion | Finished) -> str:
    if answer.stop_sequence is not None:
        return "stop_sequence"
    return _STOPS[answer.stop_reason]


def _encode_blocks(answer: Completion | Message) -> list[dict[str, Any]]:
    text = answer.text if isinstance(answer, Completion) else answer.content
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for call in answer.tool_calls:
        # A call that the length limit cut off has broken JSON: what there is of it is sent.
        arguments = from_json(call.arguments or "{}", allow_partial=True)
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments})
    return blocks


class _StreamEncoder:
    """One stream of events; a content block is open at a time."""

    def __init__(self, input_tokens: int) -> None:
        self._input_tokens = input_tokens
        self._block = -1
        self._call: int | None = None
        self._open = False

    def encode(self, event: Event, choice: int = 0) -> bytes:
        """The server-sent events that say `event` (the protocol knows no second choice)."""
        if isinstance(event, TextDelta):
            start = b"" if self._open and self._call is None else self._start_text()
            text = compact(event.text)
            return start + self._delta(f'{{"type":"text_delta","text":{text}}}')
        if isinstance(event, ToolCallDelta):
            start = b"" if event.id is None else self._start_call(event)
            if not event.arguments:
                return start
            fragment = compact(event.arguments)
            return start + self._delta(f'{{"type":"input_json_delta","partial_json":{fragment}}}')
        if isinstance(event, Started):
            message = _message_head(event.id, event.model, Usage(input_tokens=self._input_tokens))
            return _event({"type": "message_start", "message": message})
        delta = {"stop_reason": _stop_reason(event), "stop_sequence": event.stop_sequence}
        usage = {
            "input_tokens": event.usage.input_tokens,
            "output_tokens": event.usage.output_tokens,
        }
        return self._stop() + _event({"type": "message_delta", "delta": delta, "usage": usage})

    def end(self) -> bytes:
        """The end mark."""
        return _event({"type": "message_stop"})

    def _start_text(self) -> bytes:
        self._call = None
        return self._start({"type": "text", "text": ""})

    def _start_call(self, event: ToolCallDelta) -> bytes:
        self._call = event.index
        return self._start({"type": "tool_use", "id": event.id, "name": event.name, "input": {}})

    def _start(self, block: dict[str, Any]) -> bytes:
        stop = self._stop()
        self._block += 1
        self._open = True
        start = {"type": "content_block_start", "index": self._block, "content_block": block}
        return stop + _event(start)

    def _delta(self, delta: str) -> bytes:
        data = f'{{"type":"content_block_delta","index":{self._block},"delta":{delta}}}'
        return f"event: content_block_delta\ndata: {data}\n\n".encode()

    def _stop(self) -> bytes:
        was_open, self._open = self._open, False
        return _event({"type": "content_block_stop", "index": self._block}) if was_open else b""


def _event(data: dict[str, Any]) -> bytes:
    return sse.encode(compact(data), data["type"])


# -- the client's side: our vocabulary to the SDK's arguments, and the SDK's objects back -------------


def encode_request(request: Request) -> dict[str, Any]:
    """The arguments of ``client.messages.create`` that ask `request`."""
    system = "\n\n".join(m.content for m in request.messages if m.role == "system")
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": _encode_messages(request.messages),
        "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS,
    }
    if system:
        arguments["system"] = system
    if request.tools:
        arguments["tools"] = [
            {"name": t.name, "description": t.description, "input_schema": dict(t.parameters)}
            for t in request.tools
        ]
        arguments["tool_choice"] = _encode_choice(request)
    if request.response_format is not None:
        schema = dict(request.response_format.json_schema)
        arguments["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    if request.stop:
        arguments["stop_sequences"] = list(request.stop)
    if request.temperature is not None:
        arguments["temperature"] = request.temperature
    return arguments


def _encode_choice(request: Request) -> dict[str, Any]:
    kinds = {"auto": "auto", "required": "any", "none": "none"}
    kind = kinds.get(request.tool_choice, "tool")
    choice: dict[str, Any] = {"type": kind}
    if kind == "tool":
        choice["name"] = request.tool_choice
    if kind != "none":
        choice["disable_parallel_tool_use"] = not request.parallel_tool_calls
    return choice


def _encode_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Tool results in a row become one user message, as the API demands."""
    wire: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        if message.role == "tool":
            result = {
                "type": "tool_result",
                "tool_use_id": message.tool_call_id,
                "content": message.content,
            }
            if wire and wire[-1]["role"] == "user" and isinstance(wire[-1]["content"], list):
                wire[-1]["content"].append(result)
            else:
                wire.append({"role": "user", "content": [result]})
        elif message.tool_calls:
            wire.append({"role": message.role, "content": _encode_blocks(message)})
        else:
            wire.append({"role": message.role, "content": message.content})
    return wire


def decode_completion(answer: Any) -> Completion:
    """The SDK's ``Message``."""
    calls = [block for block in answer.content if block.type == "tool_use"]
    return Completion(
        id=answer.id,
        model=answer.model,
        text="".join(block.text for block in answer.content if block.type == "text"),
        tool_calls=tuple(ToolCall(id=c.id, name=c.name, arguments=compact(c.input)) for c in calls),
        stop_reason=_STOP.get(answer.stop_reason, "stop"),
        stop_sequence=answer.stop_sequence,
        usage=Usage(input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens),
    )


class StreamDecoder:
    """Turns the SDK's raw stream events of one stream into events.

    The protocol numbers content blocks, text among them; tool calls are numbered here from 0.
    """

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._input_tokens = 0
        self._last: Finished | None = None
        self._stopped = False

    def decode(self, event: Any) -> Iterator[Event]:
        """The events of one wire event; pings and kinds that are not known have none."""
        if event.type == "message_start":
            self._input_tokens = event.message.usage.input_tokens
            yield Started(id=event.message.id, model=event.message.model)
        elif event.type == "content_block_start":
            block = event.content_block
            if block.type == "tool_use":
                index = self._calls.setdefault(event.index, len(self._calls))
                yield ToolCallDelta(index=index, id=block.id, name=block.name)
        elif event.type == "content_block_delta":
            if event.delta.type == "text_delta":
                yield TextDelta(text=event.delta.text)
            elif event.delta.type == "input_json_delta" and event.delta.partial_json:
                index = self._calls[event.index]
                yield ToolCallDelta(index=index, arguments=event.delta.partial_json)
        elif event.type == "message_delta":
            self._last = self._finished(event)
        elif event.type == "message_stop":
            self._stopped = True

    def _finished(self, event: Any) -> Finished:
        usage = event.usage
        return Finished(
            stop_reason=_STOP.get(event.delta.stop_reason, "stop"),
            stop_sequence=event.delta.stop_sequence,
            usage=Usage(
                input_tokens=usage.input_tokens or self._input_tokens,
                output_tokens=usage.output_tokens,
            ),
        )

    def end(self) -> Iterator[Finished]:
        """``Finished``, if the stream said that it was whole."""
        if self._stopped and self._last is not None:
            yield self._last

"""OpenAI's chat completions, both directions.

Wire format: the OpenAI API reference, "Chat" and "Streaming"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

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

__all__ = ["OpenAIDialect", "StreamDecoder", "decode_completion", "encode_request"]

_FINISH: dict[StopReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
}
_STOP: dict[str, StopReason] = {finish: stop for stop, finish in _FINISH.items()}

_ERRORS: dict[ErrorKind, tuple[int, str, str | None]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "authentication": (401, "invalid_request_error", "invalid_api_key"),
    "permission": (403, "invalid_request_error", "insufficient_permissions"),
    "not_found": (404, "invalid_request_error", None),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "rate_limit": (429, "requests", "rate_limit_exceeded"),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "server_error": (500, "server_error", None),
    "overloaded": (503, "server_error", None),
}


# -- a request as it stands on the wire ---------------------------------------------------------------


class _TextPart(WireModel):
    type: Literal["text"]
    text: str


class _OtherPart(WireModel):
    type: Literal["image_url", "input_audio", "file", "refusal"]


_Part = _TextPart | _OtherPart


class _Function(WireModel):
    name: str
    arguments: str


class _ToolCall(WireModel):
    id: str
    type: Literal["function"]
    function: _Function


class _Message(WireModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


class _FunctionTool(WireModel):
    name: str
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None


class _Tool(WireModel):
    type: Literal["function"]
    function: _FunctionTool


class _NamedFunction(WireModel):
    name: str


class _NamedTool(WireModel):
    type: Literal["function"]
    function: _NamedFunction


class _JsonSchema(WireModel):
    name: str
    json_schema: dict[str, JsonValue] = Field(alias="schema")


class _Format(WireModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _StreamOptions(WireModel):
    include_usage: bool = False


class _Body(WireModel):
    model: str
    messages: list[_Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    n: int | None = Field(None, ge=1, le=128)
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    tool_choice: Literal["none", "auto", "required"] | _NamedTool | None = None
    tools: list[_Tool] | None = None


_BODY = TypeAdapter(_Body)


def _place(loc: tuple[int | str, ...]) -> str:
    """A place in the request as OpenAI writes it: ``messages[0].role``."""
    known = [part for part in loc if isinstance(part, int) or part.isidentifier()]
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in known).lstrip(".")


def _refusal(error: ValidationError) -> WireError:
    kind, loc, message = first_error(error)
    param = _place(loc)
    if kind == "missing":
        text, code = f"Missing required parameter: '{param}'.", "missing_required_parameter"
    elif kind.endswith("_type"):
        text, code = f"Invalid type for '{param}': {message[:1].lower()}{message[1:]}.", "invalid_type"
    else:
        text, code = f"Invalid value for '{param}': {message[:1].lower()}{message[1:]}.", "invalid_value"
    return WireError("invalid_request", text, param=param or None, code=code)


def _decode_message(message: _Message, index: int) -> Message:
    role = "system" if message.role == "developer" else message.role
    calls = message.tool_calls or ()
    if role == "tool" and message.tool_call_id is None:
        param = f"messages[{index}].tool_call_id"
        code = "missing_required_parameter"
        raise WireError("invalid_request", f"Missing parameter '{param}'.", param=param, code=code)
    return Message(
        role=role,
        content=text_of(message.content),
        tool_calls=tuple(
            ToolCall(id=c.id, name=c.function.name, arguments=c.function.arguments) for c in calls
        ),
        tool_call_id=message.tool_call_id if role == "tool" else None,
    )


def _decode_format(wanted: _Format | None) -> ResponseFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.json_schema is None:
        return ResponseFormat()
    return ResponseFormat(name=wanted.json_schema.name, json_schema=wanted.json_schema.json_schema)


def _duration(seconds: float) -> str:
    """A duration as OpenAI writes it, in Go's way: ``20ms``, ``1.5s``, ``6m0s``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{round(rest, 3):g}s"
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text


class OpenAIDialect:
    """Chat completions as a server speaks them."""

    name = "openai"
    path = "/chat/completions"
    request_id_header = "x-request-id"
    id_prefix = "chatcmpl-"
    call_id_prefix = "call_"

    def api_key(self, headers: Callable[[str], str | None]) -> str | None:
        """The bearer token."""
        scheme, _, key = (headers("authorization") or "").partition(" ")
        return key or None if scheme.lower() == "bearer" else None

    def decode_request(self, body: Any) -> Call:
        """Understand the JSON of ``POST /chat/completions``."""
        try:
            wire = _BODY.validate_python(body)
            request = self._request(wire)
        except ValidationError as error:
            raise _refusal(error) from error
        return Call(
            request=request,
            stream=bool(wire.stream),
            n=wire.n or 1,
            include_usage=bool(wire.stream_options and wire.stream_options.include_usage),
        )

    def _request(self, wire: _Body) -> Request:
        choice = wire.tool_choice
        stop = (wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ())
        functions = [tool.function for tool in wire.tools or ()]
        return Request(
            model=wire.model,
            messages=tuple(_decode_message(m, i) for i, m in enumerate(wire.messages)),
            tools=tuple(
                Tool(
                    name=f.name,
                    description=f.description or "",
                    parameters=f.parameters or {"type": "object"},
                )
                for f in functions
            ),
            tool_choice=choice.function.name if isinstance(choice, _NamedTool) else choice or "auto",
            parallel_tool_calls=wire.parallel_tool_calls is not False,
            response_format=_decode_format(wire.response_format),
            max_tokens=wire.max_completion_tokens or wire.max_tokens,
            stop=stop,
            temperature=wire.temperature,
        )

    def encode_completions(self, completions: Sequence[Completion], created: int) -> bytes:
        """A ``chat.completion`` with one choice for each of `completions`."""
        first = completions[0]
        usage = Usage(
            input_tokens=first.usage.input_tokens,
            output_tokens=sum(c.usage.output_tokens for c in completions),
        )
        return compact(
            {
                "id": first.id,
                "object": "chat.completion",
                "created": created,
                "model": first.model,
                "choices": [
                    {
                        "index": index,
                        "message": _encode_answer(completion),
                        "logprobs": None,
                        "finish_reason": _FINISH[completion.stop_reason],
                    }
                    for index, completion in enumerate(completions)
                ],
                "usage": _encode_usage(usage),
                "service_tier": "default",
                "system_fingerprint": "fp_simulated",
            }
        ).encode()

    def stream_encoder(self, call: Call, created: int, input_tokens: int) -> _StreamEncoder:
        """Encode events as ``chat.completion.chunk`` objects."""
        return _StreamEncoder(created, call.include_usage)

    def encode_error(self, error: WireError, request_id: str) -> tuple[int, bytes]:
        """An ``{"error": {...}}`` object."""
        status, kind, code = _ERRORS[error.kind]
        if error.kind == "rate_limit" and error.param:  # which of the limits it was
            kind = error.param
        param = None if error.kind == "rate_limit" else error.param
        body = {"message": error.message, "type": kind, "param": param, "code": error.code or code}
        return error.status or status, compact({"error": body}).encode()

    def limit_headers(self, states: Iterable[LimitState], now: datetime) -> dict[str, str]:
        """``x-ratelimit-*`` headers, with the time to the full bucket as a duration."""
        headers: dict[str, str] = {}
        for state in states:
            headers[f"x-ratelimit-limit-{state.name}"] = str(int(state.limit))
            headers[f"x-ratelimit-remaining-{state.name}"] = str(max(0, int(state.remaining)))
            headers[f"x-ratelimit-reset-{state.name}"] = _duration(state.reset_seconds)
        return headers


def _encode_usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _encode_call(call: ToolCall) -> dict[str, object]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _encode_answer(completion: Completion) -> dict[str, object]:
    refused = completion.stop_reason == "refusal"
    content = completion.text or (None if completion.tool_calls else "")
    message: dict[str, object] = {
        "role": "assistant",
        "content": None if refused else content,
        "refusal": completion.text if refused else None,
        "annotations": [],
    }
    if completion.tool_calls:
        message["tool_calls"] = [_encode_call(call) for call in completion.tool_calls]
    return message


class _StreamEncoder:
    """One stream of chunks; all but the delta is the same in each, and is written only once."""

    def __init__(self, created: int, include_usage: bool) -> None:
        self._created = created
        self._include_usage = include_usage
        self._head = ""
        self._usage = Usage()

    def encode(self, event: Event, choice: int = 0) -> bytes:
        """The chunk that says `event` in the choice of that index."""
        if isinstance(event, TextDelta):
            return self._chunk(choice, f'{{"content":{compact(event.text)}}}')
        if isinstance(event, ToolCallDelta):
            return self._chunk(choice, compact({"tool_calls": [_call_delta(event)]}))
        if isinstance(event, Started):
            if not self._head:
                self._head = (
                    f'data: {{"id":{compact(event.id)},"object":"chat.completion.chunk",'
                    f'"created":{self._created},"model":{compact(event.model)},'
                    '"service_tier":"default","system_fingerprint":"fp_simulated","choices":['
                )
            return self._chunk(choice, '{"role":"assistant","content":"","refusal":null}')
        self._usage = Usage(
            input_tokens=event.usage.input_tokens,
            output_tokens=self._usage.output_tokens + event.usage.output_tokens,
        )
        return self._chunk(choice, "{}", f'"{_FINISH[event.stop_reason]}"')

    def _chunk(self, choice: int, delta: str, finish: str = "null") -> bytes:
        tail = '],"usage":null}\n\n' if self._include_usage else "]}\n\n"
        return (
            f'{self._head}{{"index":{choice},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}{tail}'
        ).encode()

    def end(self) -> bytes:
        """The usage, where it was asked for, and the end mark."""
        usage = f'{self._head}],"usage":{compact(_encode_usage(self._usage))}}}\n\n'
        return (usage if self._include_usage else "").encode() + sse.encode("[DONE]")


def _call_delta(event: ToolCallDelta) -> dict[str, object]:
    if event.id is None:
        return {"index": event.index, "function": {"arguments": event.arguments}}
    function = {"name": event.name, "arguments": event.arguments}
    return {"index": event.index, "id": event.id, "type": "function", "function": function}


# -- the client's side: our vocabulary to the SDK's arguments, and the SDK's objects back -------------


def encode_request(request: Request) -> dict[str, Any]:
    """The arguments of ``client.chat.completions.create`` that ask `request`."""
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": [_encode_message(message) for message in request.messages],
    }
    if request.tools:
        arguments["tools"] = [
            {"type": "function", "function": tool.model_dump(mode="json")} for tool in request.tools
        ]
        arguments["parallel_tool_calls"] = request.parallel_tool_calls
        named = request.tool_choice not in ("auto", "none", "required")
        function = {"type": "function", "function": {"name": request.tool_choice}}
        arguments["tool_choice"] = function if named else request.tool_choice
    if request.response_format is not None:
        wanted = request.response_format
        schema = {"name": wanted.name, "schema": dict(wanted.json_schema), "strict": True}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.max_tokens is not None:
        arguments["max_completion_tokens"] = request.max_tokens
    if request.stop:
        arguments["stop"] = list(request.stop)
    if request.temperature is not None:
        arguments["temperature"] = request.temperature
    return arguments


def _encode_message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        wire["tool_calls"] = [_encode_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _decode_usage(usage: Any) -> Usage:
    if usage is None:
        return Usage()
    return Usage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)


def decode_completion(answer: Any) -> Completion:
    """The first choice of the SDK's ``ChatCompletion``."""
    choice = answer.choices[0]
    return Completion(
        id=answer.id,
        model=answer.model,
        text=choice.message.content or choice.message.refusal or "",
        tool_calls=tuple(
            ToolCall(id=c.id, name=c.function.name, arguments=c.function.arguments)
            for c in choice.message.tool_calls or ()
        ),
        stop_reason=_STOP.get(choice.finish_reason, "stop"),
        usage=_decode_usage(answer.usage),
    )


class StreamDecoder:
    """Turns the SDK's ``ChatCompletionChunk`` objects of one stream into events.

    The usage comes in a chunk of its own after the one with the finish reason, so ``Finished`` is only
    known at the end of the stream.
    """

    def __init__(self) -> None:
        self._started = False
        self._finish: str | None = None
        self._usage = Usage()

    def decode(self, chunk: Any) -> Iterator[Event]:
        """The events of one chunk; a chunk may have no choices at all."""
        if not self._started:
            self._started = True
            yield Started(id=chunk.id, model=chunk.model)
        if chunk.usage is not None:
            self._usage = _decode_usage(chunk.usage)
        for choice in chunk.choices:
            if choice.index:
                continue
            delta = choice.delta
            if text := delta.content or delta.refusal:
                yield TextDelta(text=text)
            for call in delta.tool_calls or ():
                name, arguments = call.function.name, call.function.arguments
                yield ToolCallDelta(index=call.index, id=call.id, name=name, arguments=arguments or "")
            self._finish = choice.finish_reason or self._finish

    def end(self) -> Iterator[Finished]:
        """``Finished``, if the stream said that it was whole."""
        if self._finish is not None:
            yield Finished(stop_reason=_STOP.get(self._finish, "stop"), usage=self._usage)

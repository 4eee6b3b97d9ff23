"""OpenAI's chat completions: the request, both directions.

Wire format: the OpenAI API reference, "Chat"; checked by the SDK's own types.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from workbench.messages import Message, Request, ResponseFormat, Tool, ToolCall
from workbench.wire.dialect import Call, WireError, WireModel, first_error, text_of

__all__ = ["decode_request", "encode_call", "encode_request"]


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


def decode_request(body: Any) -> Call:
    """Understand the JSON of ``POST /chat/completions``.

    Raises:
        WireError: it is wrong.
    """
    try:
        wire = _BODY.validate_python(body)
        request = _decode(wire)
    except ValidationError as error:
        raise _refusal(error) from error
    return Call(
        request=request,
        stream=bool(wire.stream),
        n=wire.n or 1,
        include_usage=bool(wire.stream_options and wire.stream_options.include_usage),
    )


def _decode(wire: _Body) -> Request:
    choice = wire.tool_choice
    stop = (wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ())
    return Request(
        model=wire.model,
        messages=tuple([_decode_message(m, i) for i, m in enumerate(wire.messages)]),
        tools=tuple([_decode_tool(tool.function) for tool in wire.tools or ()]),
        tool_choice=choice.function.name if isinstance(choice, _NamedTool) else choice or "auto",
        parallel_tool_calls=wire.parallel_tool_calls is not False,
        response_format=_decode_format(wire.response_format),
        max_tokens=wire.max_completion_tokens or wire.max_tokens,
        stop=stop,
        temperature=wire.temperature,
    )


def _decode_tool(function: _FunctionTool) -> Tool:
    parameters = function.parameters or {"type": "object"}
    return Tool(name=function.name, description=function.description or "", parameters=parameters)


# -- the client's side: our vocabulary to the SDK's arguments ----------------------------------------


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
        wire["tool_calls"] = [encode_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def encode_call(call: ToolCall) -> dict[str, object]:
    """A tool call, as it stands in a request and in an answer."""
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}

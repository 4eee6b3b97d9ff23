"""Anthropic's messages: the request, both directions.

Wire format: the Claude API reference, "Messages"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import from_json

from workbench.messages import Completion, Message, Request, ResponseFormat, Tool, ToolCall
from workbench.wire.dialect import Call, WireError, WireModel, compact, first_error, text_of

__all__ = ["DEFAULT_MAX_TOKENS", "decode_request", "encode_blocks", "encode_request"]

DEFAULT_MAX_TOKENS = 4096  # the API demands a limit; this one is sent where the caller sets none


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


def decode_request(body: Any) -> Call:
    """Understand the JSON of ``POST /v1/messages``.

    Raises:
        WireError: it is wrong.
    """
    try:
        wire = _BODY.validate_python(body)
        return Call(request=_decode(wire), stream=bool(wire.stream))
    except ValidationError as error:
        raise _refusal(error) from error


def _decode(wire: _Body) -> Request:
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


# -- the client's side: our vocabulary to the SDK's arguments ----------------------------------------


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
        # The SDK's own arguments know no temperature since version 2; the API does.
        arguments["extra_body"] = {"temperature": request.temperature}
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
            wire.append({"role": message.role, "content": encode_blocks(message)})
        else:
            wire.append({"role": message.role, "content": message.content})
    return wire


def encode_blocks(answer: Completion | Message) -> list[dict[str, Any]]:
    """The content blocks of an assistant's turn, as they stand in a request and in an answer."""
    text = answer.text if isinstance(answer, Completion) else answer.content
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    calls = answer.tool_calls
    return blocks + [{"type": "tool_use", "id": c.id, "name": c.name, "input": _input(c)} for c in calls]


def _input(call: ToolCall) -> dict[str, Any]:
    """A call's arguments as the object that the API demands.

    A call that the length limit cut off has broken JSON: what there is of it is sent.  Anything else is
    wrapped as the API's reference advises ("Fine-grained tool streaming").
    """
    try:
        arguments = from_json(call.arguments or "{}", allow_partial=True)
    except ValueError:
        arguments = None
    return arguments if isinstance(arguments, dict) else {"INVALID_JSON": call.arguments}

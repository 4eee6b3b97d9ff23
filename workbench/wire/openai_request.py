"""OpenAI's chat completions: the request, both directions.

Wire format: the OpenAI API reference, "Chat"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from workbench.messages import Message, Request, ResponseFormat, Tool, ToolCall
from workbench.wire.dialect import Call, WireError, takes_free_text, text_of
from workbench.wire.openai_body import (
    AllowedTools,
    Body,
    ChatMessage,
    Named,
    StreamOptions,
    WireFormat,
    refusal,
)
from workbench.wire.openai_cache import find_prefixes

__all__ = ["EFFORTS", "decode_request", "effort_of", "encode_call", "encode_request"]

EFFORTS = {"minimal": 16, "low": 64, "medium": 256, "high": 1024, "xhigh": 2048, "max": 4096}
"""What a model may think with each reasoning effort, in tokens; with "none" it does not."""

_LIMITS = ("max_tokens", "max_completion_tokens")
_NO_OPTIONS = StreamOptions()


def decode_request(body: Any, *, lenient: bool = False) -> Call:
    """Understand the JSON of ``POST /chat/completions``.

    Args:
        body: the JSON.
        lenient: let through limits of no tokens, and options that go with others which are not there.

    Raises:
        WireError: it is wrong.
    """
    if lenient:
        body = {name: value for name, value in body.items() if value or name not in _LIMITS}
    try:
        wire = Body.model_validate(body)
        if not lenient:
            _check_options(wire)
        _check_tools(wire.messages)
        request = _decode(wire)
    except ValidationError as error:
        raise refusal(error) from error
    stream = wire.stream_options or _NO_OPTIONS
    return Call(
        request=request,
        stream=bool(wire.stream),
        n=wire.n or 1,
        include_usage=stream.include_usage,
        options={
            "functions": _asks_for_functions(wire),
            "logprobs": (wire.top_logprobs or 0) if wire.logprobs else None,
            "metadata": wire.metadata or {},
            "obfuscation": stream.include_obfuscation,
            "store": bool(wire.store),
        },
        prefixes=find_prefixes(request),
    )


def _check_options(wire: Body) -> None:
    if wire.stream_options is not None and not wire.stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise WireError("invalid_request", message, param="stream_options")
    if wire.top_logprobs is not None and not wire.logprobs:
        message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
        raise WireError("invalid_request", message, param="top_logprobs")


def _check_tools(messages: Sequence[ChatMessage]) -> None:
    """Hold each tool message against the calls before it, and each call against the messages after it."""
    asked: list[str] = []
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            _check_result(message, index, asked)
            waiting = [call for call in waiting if call != message.tool_call_id]
            continue
        if waiting:
            break
        asked = waiting = [call.id for call in message.tool_calls or ()]
    if waiting:
        text = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(waiting)}"
        )
        raise WireError("invalid_request", text, param="messages")


def _check_result(message: ChatMessage, index: int, asked: list[str]) -> None:
    if message.tool_call_id is None:
        param, code = f"messages[{index}].tool_call_id", "missing_required_parameter"
        raise WireError("invalid_request", f"Missing parameter '{param}'.", param=param, code=code)
    if not asked:
        text = (
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message "
            "with 'tool_calls'."  # spelt as the API does
        )
        raise WireError("invalid_request", text, param=f"messages.[{index}].role")
    if message.tool_call_id not in asked:
        what = f"'tool_call_id' of '{message.tool_call_id}' not found in 'tool_calls' of previous message."
        param = f"messages.[{index}].tool_call_id"
        raise WireError("invalid_request", f"Invalid parameter: {what}", param=param)


def _decode(wire: Body) -> Request:
    tools, choice = _decode_tools(wire)
    return Request(
        model=wire.model,
        messages=tuple([_decode_message(message) for message in wire.messages]),
        tools=tuple(tools),
        tool_choice=choice,
        parallel_tool_calls=wire.parallel_tool_calls is not False and not _asks_for_functions(wire),
        response_format=_decode_format(wire.response_format),
        max_tokens=wire.max_completion_tokens or wire.max_tokens,
        stop=(wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ()),
        temperature=wire.temperature,
        thinking_tokens=EFFORTS.get(wire.reasoning_effort or "none"),
    )


def _decode_message(message: ChatMessage) -> Message:
    content = text_of(message.content) or message.refusal or ""
    if message.role == "function":
        return Message(role="tool", content=content, tool_call_id=_call_id(message.name))
    called = [(call.id, call.called) for call in message.tool_calls or ()]
    if (old := message.function_call) is not None:
        called.append((_call_id(old.name), old))
    return Message(
        role="system" if message.role == "developer" else message.role,
        content=content,
        tool_calls=tuple([ToolCall(id=id, name=c.name, arguments=c.arguments) for id, c in called]),
        tool_call_id=message.tool_call_id if message.role == "tool" else None,
    )


def _call_id(name: str | None) -> str:
    """Of a function's call and of its result, which had no ids."""
    return f"call_{name}"


def _asks_for_functions(wire: Body) -> bool:
    """Whether the request is from before there were tools."""
    return bool(wire.functions) and not wire.tools


def _decode_tools(wire: Body) -> tuple[list[Tool], str]:
    """The tools that the model may call, and the choice among them."""
    if _asks_for_functions(wire):
        called = wire.function_call
        tools = [function.decode() for function in wire.functions or ()]
        return tools, called.name if isinstance(called, Named) else called or "auto"
    tools = [given.tool.decode() for given in wire.tools or ()]
    choice = wire.tool_choice
    if isinstance(choice, AllowedTools):
        allowed = {named.tool.name for named in choice.allowed_tools.tools}
        return [tool for tool in tools if tool.name in allowed], choice.allowed_tools.mode
    return tools, choice if isinstance(choice, str) else choice.tool.name if choice else "auto"


def _decode_format(wanted: WireFormat | None) -> ResponseFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.json_schema is None:
        return ResponseFormat()
    return ResponseFormat(name=wanted.json_schema.name, json_schema=wanted.json_schema.json_schema)


# -- the client's side: our vocabulary to the SDK's arguments ----------------------------------------


def encode_request(request: Request) -> dict[str, Any]:
    """The arguments of ``client.chat.completions.create`` that ask `request`."""
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": [_encode_message(message, request) for message in request.messages],
    }
    if request.tools:
        arguments["tools"] = [_encode_tool(tool) for tool in request.tools]
        arguments["parallel_tool_calls"] = request.parallel_tool_calls
        named = [tool for tool in request.tools if tool.name == request.tool_choice]
        arguments["tool_choice"] = _typed(named[0], {"name": named[0].name}) if named else request.tool_choice
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
    if request.thinking_tokens is not None:
        arguments["reasoning_effort"] = effort_of(request.thinking_tokens)
    return arguments


def effort_of(tokens: int) -> str:
    """The least effort that allows `tokens` of thinking."""
    return next((effort for effort, allowed in EFFORTS.items() if tokens <= allowed), "max")


def _typed(tool: Tool, value: dict[str, Any]) -> dict[str, Any]:
    kind = "custom" if tool.free_text else "function"
    return {"type": kind, kind: value}


def _encode_tool(tool: Tool) -> dict[str, Any]:
    described = {"name": tool.name, "description": tool.description}
    return _typed(tool, described if tool.free_text else {**described, "parameters": tool.parameters})


def _encode_message(message: Message, request: Request) -> dict[str, Any]:
    texts = [*(document.text for document in message.documents), message.content]
    parts = [{"type": "text", "text": text} for text in texts if text]
    wire: dict[str, Any] = {"role": message.role, "content": parts if len(parts) > 1 else message.content}
    if message.tool_calls:
        wire["tool_calls"] = [encode_call(call, request) for call in message.tool_calls]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def encode_call(call: ToolCall, request: Request) -> dict[str, object]:
    """A tool call, as it stands in a request and in an answer; `request` knows its tool."""
    if takes_free_text(request, call.name):
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}

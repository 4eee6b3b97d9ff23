"""OpenAI's Responses API: the request, both directions.

Wire format: the OpenAI API reference, "Responses"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workbench.messages import Message, Request, ResponseFormat, Tool
from workbench.wire.dialect import Call, WireError
from workbench.wire.openai_body import refusal
from workbench.wire.openai_cache import find_prefixes
from workbench.wire.openai_request import EFFORTS, effort_of
from workbench.wire.responses_body import TAGS, Body, CompactBody, OwnTool, TextFormat
from workbench.wire.responses_items import Item, decode_items, encode_messages

__all__ = ["decode_compact", "decode_request", "encode_request"]

_LOGPROBS = "message.output_text.logprobs"
_SUMMARIZE = "Summarize the conversation so far: what was asked, what was found, and what is still open."
_ECHOED: dict[str, Any] = {  # what a response repeats of its request, and what it says where that is silent
    "access_programs": None,
    "background": False,
    "conversation": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


_ITEMS = TypeAdapter(list[Item])


def decode_request(body: Any, history: Sequence[dict[str, Any]] = ()) -> Call:
    """Understand the JSON of ``POST /responses``.

    Args:
        body: the JSON.
        history: the items of the conversation that it goes on with.

    Raises:
        WireError: it is wrong.
    """
    given, whole = _normalized(body)
    try:
        wire = Body.model_validate(whole)
        request = _decode(wire, _messages(wire, history))
    except ValidationError as error:
        raise refusal(error, TAGS) from error
    if wire.background and wire.store is False:
        raise WireError("invalid_request", "Background mode requires 'store' to be true.", param="background")
    include = wire.include or ()
    return Call(
        request=request,
        stream=bool(wire.stream),
        options={
            "echo": _echo(body),
            "history": history,
            "input": given,
            "background": bool(wire.background),
            "store": wire.store is not False,
            "logprobs": (wire.top_logprobs or 0) if _LOGPROBS in include or wire.top_logprobs else None,
            "summary": wire.reasoning is not None and wire.reasoning.shown,
            "encrypted": "reasoning.encrypted_content" in include,
        },
        prefixes=find_prefixes(request),
    )


def decode_compact(body: Any, history: Sequence[dict[str, Any]] = ()) -> Call:
    """Understand the JSON of ``POST /responses/compact``: a summary is asked for.

    Raises:
        WireError: it is wrong.
    """
    _, whole = _normalized(body)
    try:
        wire = CompactBody.model_validate(whole)
        messages = _messages(wire, history)
        ask = Message(role="user", content=_SUMMARIZE)
        return Call(Request(model=wire.model, messages=(*messages, ask)), options={"messages": messages})
    except ValidationError as error:
        raise refusal(error, TAGS) from error


def _normalized(body: Any) -> tuple[list[dict[str, Any]], Any]:
    """The items of a request's input, and the request with them: a message need not say that it is one."""
    given = body.get("input") if isinstance(body, dict) else None
    if isinstance(given, str):
        items: list[Any] = [{"type": "message", "role": "user", "content": given}]
    elif isinstance(given, list):
        items = [{"type": "message"} | item if isinstance(item, dict) else item for item in given]
    else:
        return [], body
    return items, body | {"input": items}


def _messages(wire: Body | CompactBody, history: Sequence[dict[str, Any]]) -> list[Message]:
    own = wire.input if isinstance(wire.input, list) else []
    messages = decode_items([*_ITEMS.validate_python(history), *own])
    if wire.instructions:
        messages.insert(0, Message(role="system", content=wire.instructions))
    if not messages:
        message = (
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided."
        )
        raise WireError("invalid_request", message, param="input", code="missing_required_parameter")
    return messages


def _decode(wire: Body, messages: list[Message]) -> Request:
    choice, tools = _decode_choice(wire)
    wanted = wire.text and wire.text.format
    return Request(
        model=wire.model,
        messages=tuple(messages),
        tools=tuple(tools),
        tool_choice=choice,
        parallel_tool_calls=wire.parallel_tool_calls is not False,
        response_format=_decode_format(wanted) if wanted else None,
        max_tokens=wire.max_output_tokens,
        temperature=wire.temperature,
        thinking_tokens=EFFORTS.get(wire.reasoning.effort or "medium") if wire.reasoning else None,
    )


def _decode_format(wanted: TextFormat) -> ResponseFormat | None:
    if wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return ResponseFormat()
    for name, value in (("name", wanted.name), ("schema", wanted.json_schema)):
        if value is None:
            param, code = f"text.format.{name}", "missing_required_parameter"
            raise WireError(
                "invalid_request", f"Missing required parameter: '{param}'.", param=param, code=code
            )
    return ResponseFormat.model_validate({"name": wanted.name, "json_schema": wanted.json_schema})


def _decode_choice(wire: Body) -> tuple[str, list[Tool]]:
    """What is to be called, and the tools that may be; those of the provider's own never are."""
    tools = [tool.decode() for tool in wire.tools or () if isinstance(tool, OwnTool)]
    choice = wire.tool_choice or "auto"
    name: str
    if isinstance(choice, str):
        name = choice
    elif choice.type == "allowed_tools":
        allowed = {tool.name for tool in choice.tools}
        name, tools = choice.mode, [tool for tool in tools if tool.name in allowed]
    else:
        name = choice.name or "" if choice.type in ("function", "custom") else "auto"
    if name == "required" and wire.tools and not tools:
        name = "auto"
    names = [tool.name for tool in tools]
    if name not in ("auto", "none", *(["required", *names] if names else [])):
        message = f"Tool choice '{name}' not found in 'tools' parameter."
        raise WireError("invalid_request", message, param="tool_choice")
    return name, tools


def _echo(body: dict[str, Any]) -> dict[str, Any]:
    given = {name: body[name] for name in _ECHOED if body.get(name) is not None}
    if isinstance(conversation := given.get("conversation"), str):
        given["conversation"] = {"id": conversation}
    return _ECHOED | given


# -- the client's side: our vocabulary to the SDK's arguments ----------------------------------------


def encode_request(request: Request) -> dict[str, Any]:
    """The arguments of ``client.responses.create`` that ask `request`; nothing of it is stored.

    Raises:
        ValueError: it sets stop sequences, which this API does not know.
    """
    if request.stop:
        raise ValueError(f"the Responses API knows no stop sequences: leave out stop={request.stop!r}")
    arguments: dict[str, Any] = {
        "model": request.model,
        "input": encode_messages(request),
        "store": False,
    }
    if request.tools:
        arguments["tools"] = [_encode_tool(tool) for tool in request.tools]
        arguments["parallel_tool_calls"] = request.parallel_tool_calls
        named = [_typed(tool) for tool in request.tools if tool.name == request.tool_choice]
        arguments["tool_choice"] = named[0] if named else request.tool_choice
    if request.response_format is not None:
        wanted = request.response_format
        schema = {"name": wanted.name, "schema": dict(wanted.json_schema), "strict": True}
        arguments["text"] = {"format": {"type": "json_schema", **schema}}
    if request.thinking_tokens is not None:
        arguments["reasoning"] = {"effort": effort_of(request.thinking_tokens), "summary": "auto"}
        arguments["include"] = ["reasoning.encrypted_content"]
    if request.max_tokens is not None:
        arguments["max_output_tokens"] = request.max_tokens
    if request.temperature is not None:
        arguments["temperature"] = request.temperature
    return arguments


def _typed(tool: Tool) -> dict[str, Any]:
    return {"type": "custom" if tool.free_text else "function", "name": tool.name}


def _encode_tool(tool: Tool) -> dict[str, Any]:
    described = {**_typed(tool), "description": tool.description}
    # By default these functions are strict, which not every schema can be.
    return described if tool.free_text else {**described, "parameters": tool.parameters, "strict": False}

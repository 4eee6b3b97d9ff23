"""Anthropic's messages: how a server understands a request.

Wire format: the Claude API reference, "Messages"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from workbench.messages import Document, Message, Request, ResponseFormat, Tool, ToolCall
from workbench.wire.anthropic_blocks import Block, DocumentBlock, ThinkingBlock, ToolResultBlock, ToolUseBlock
from workbench.wire.anthropic_body import Body, Prompt, WireMessage
from workbench.wire.anthropic_body import Tool as WireTool
from workbench.wire.anthropic_cache import find_prefixes
from workbench.wire.anthropic_rules import check
from workbench.wire.dialect import Call, WireError, compact, first_error, text_of

__all__ = ["decode_prompt", "decode_request"]

_EFFORT = {"low": 512, "medium": 2048, "high": 8192, "xhigh": 16_384, "max": 32_768}  # tokens of thinking


def decode_request(body: Any) -> Call:
    """Understand the JSON of ``POST /v1/messages``.

    Raises:
        WireError: it is wrong.
    """
    return _decode(Body, body)


def decode_prompt(body: Any) -> Request:
    """Understand the JSON of ``POST /v1/messages/count_tokens``.

    Raises:
        WireError: it is wrong.
    """
    return _decode(Prompt, body).request


def _decode(kind: type[Prompt], body: Any) -> Call:
    try:
        wire = kind.model_validate(body)
        check(wire)
        documents: list[DocumentBlock] = []
        request = _request(wire, documents)
    except ValidationError as error:
        raise _refusal(error) from error
    return Call(
        request=request,
        stream=isinstance(wire, Body) and bool(wire.stream),
        options=_options(wire, documents),
        prefixes=find_prefixes(wire, body),
    )


def _refusal(error: ValidationError) -> WireError:
    _, loc, message = first_error(error)
    place = ".".join(str(part) for part in loc if isinstance(part, int) or part.isidentifier())
    return WireError("invalid_request", f"{place}: {message}", param=place or None)


def _options(wire: Prompt, documents: Sequence[DocumentBlock]) -> Mapping[str, Any]:
    """What an answer's encoder has to know besides the request."""
    return {
        "show_thinking": getattr(wire.thinking, "display", None) != "omitted",
        "parts": {i: d.source.parts for i, d in enumerate(documents) if d.source.type == "content"},
        "inference_geo": getattr(wire, "inference_geo", None),
        "speed": wire.speed,
    }


def _request(wire: Prompt, documents: list[DocumentBlock]) -> Request:
    messages = [message for m in wire.messages for message in _messages(m, documents)]
    if system := text_of(wire.system):
        messages.insert(0, Message(role="system", content=system))
    choice, wanted = wire.tool_choice, wire.output_config and wire.output_config.format
    body = wire if isinstance(wire, Body) else None
    return Request(
        model=wire.model,
        messages=tuple(messages),
        tools=tuple(
            Tool(name=t.name, description=t.description or "", parameters=t.input_schema)
            for t in wire.tools or ()
            if isinstance(t, WireTool)
        ),
        tool_choice="auto"
        if choice is None
        else choice.name or {"any": "required"}.get(choice.type, choice.type),
        parallel_tool_calls=choice is None or not choice.disable_parallel_tool_use,
        response_format=ResponseFormat(json_schema=wanted.json_schema) if wanted else None,
        max_tokens=body.max_tokens if body else None,
        stop=tuple((body.stop_sequences if body else None) or ()),
        temperature=body.temperature if body else None,
        thinking_tokens=_thinking_tokens(wire),
    )


def _thinking_tokens(wire: Prompt) -> int | None:
    """What may be thought: a budget; or, where the model decides, what its effort and the limit allow."""
    if wire.thinking is None or wire.thinking.type in ("disabled", "between_tools"):
        return None
    if wire.thinking.type == "enabled":
        return wire.thinking.budget_tokens
    effort = (wire.output_config and wire.output_config.effort) or "high"
    return min(_EFFORT[effort], getattr(wire, "max_tokens", _EFFORT[effort]) // 2) or None


def _messages(message: WireMessage, documents: list[DocumentBlock]) -> Iterator[Message]:
    """The messages that one wire message says: each tool result is one of its own."""
    rest: list[Block] = []
    for block in message.blocks:
        if isinstance(block, ToolResultBlock):
            brought = _documents(block.documents, documents)
            content = text_of(block.content)
            yield Message(role="tool", content=content, documents=brought, tool_call_id=block.tool_use_id)
        else:
            rest.append(block)
    if not rest:
        return
    thoughts = [block for block in rest if isinstance(block, ThinkingBlock)]
    join: Callable[[Any], str] = "".join if message.role == "assistant" else "\n".join
    yield Message(
        role=message.role,
        content=join(text for block in rest if (text := getattr(block, "text", ""))),
        documents=_documents((b for b in rest if isinstance(b, DocumentBlock)), documents),
        thinking="".join(block.thinking for block in thoughts),
        signature=thoughts[-1].signature if thoughts else "",
        tool_calls=tuple(
            ToolCall(id=block.id, name=block.name, arguments=compact(block.input))
            for block in rest
            if isinstance(block, ToolUseBlock)
        ),
    )


def _documents(blocks: Iterator[DocumentBlock], seen: list[DocumentBlock]) -> tuple[Document, ...]:
    """The documents as a model reads them; `seen` takes them in, in the order of their numbers."""
    new = list(blocks)
    seen += new
    return tuple(Document(text=block.read, title=block.title, citations=block.is_cited) for block in new)

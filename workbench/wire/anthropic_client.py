"""Anthropic's messages: how a client asks and understands the answer, in the SDK's own arguments and objects.

Wire format: the Claude API reference, "Messages" and "Streaming"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from workbench.events import (
    CitationDelta,
    Event,
    Finished,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from workbench.messages import Citation, Completion, Message, Request, StopReason, ToolCall, Usage
from workbench.wire.anthropic_answer import STOPS, call_block
from workbench.wire.dialect import compact

__all__ = ["DEFAULT_MAX_TOKENS", "StreamDecoder", "decode_completion", "encode_request"]

DEFAULT_MAX_TOKENS = 4096  # the API demands a limit; this one is sent where the caller sets none
_STOP: dict[str, StopReason] = {
    **{wire: stop for stop, wire in STOPS.items()},
    "stop_sequence": "stop",
}


def encode_request(request: Request) -> dict[str, Any]:
    """The arguments of ``client.messages.create`` that ask `request`."""
    system = "\n\n".join(m.content for m in request.messages if m.role == "system")
    thinking = request.thinking_tokens
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": _encode_messages(request.messages),
        "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS + (thinking or 0),
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
    if thinking is not None:
        arguments["thinking"] = {"type": "enabled", "budget_tokens": thinking}
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
    results: list[dict[str, Any]] | None = None
    for message in messages:
        if message.role == "system":
            continue
        content = _content(message)
        if message.role != "tool":
            results = None
            wire.append({"role": message.role, "content": content})
            continue
        if results is None:
            results = []
            wire.append({"role": "user", "content": results})
        results.append({"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content})
    return wire


def _content(message: Message) -> str | list[dict[str, Any]]:
    """What a message says; thoughts without a signature are not this provider's, and it would refuse them."""
    before: list[dict[str, Any]] = []
    if message.signature:
        thinking = {"type": "thinking", "thinking": message.thinking, "signature": message.signature}
        before.append(thinking)
    for document in message.documents:
        source = {"type": "text", "media_type": "text/plain", "data": document.text}
        title = {} if document.title is None else {"title": document.title}
        cited = {"citations": {"enabled": document.citations}}
        before.append({"type": "document", "source": source, **title, **cited})
    calls = [call_block(call) for call in message.tool_calls]
    if not before and not calls:
        return message.content
    text = [{"type": "text", "text": message.content}] if message.content else []
    return [*before, *text, *calls]


# -- the answer -----------------------------------------------------------------------------------------


def decode_completion(answer: Any) -> Completion:
    """The SDK's ``Message``."""
    text = ""
    citations: list[Citation] = []
    for block in answer.content:
        if block.type == "text":
            start, text = len(text), text + block.text
            citations += _citations(block.citations or (), start, len(text))
    thoughts = [block for block in answer.content if block.type == "thinking"]
    calls = [block for block in answer.content if block.type == "tool_use"]
    return Completion(
        id=answer.id,
        model=answer.model,
        text=text,
        thinking="".join(block.thinking for block in thoughts),
        signature=thoughts[-1].signature if thoughts else "",
        citations=tuple(citations),
        tool_calls=tuple(ToolCall(id=c.id, name=c.name, arguments=compact(c.input)) for c in calls),
        stop_reason=_STOP.get(answer.stop_reason, "stop"),
        stop_sequence=answer.stop_sequence,
        usage=_usage(answer.usage, Usage()),
    )


def _citations(found: Sequence[Any], start: int, end: int) -> Iterator[Citation]:
    """What a text block cites of plain texts; other sources have no place that our vocabulary could name."""
    for wire in found:
        if wire.type == "char_location":
            yield Citation(
                start=start,
                end=end,
                document=wire.document_index,
                title=wire.document_title,
                cited_text=wire.cited_text,
                source_start=wire.start_char_index,
            )


def _usage(wire: Any, so_far: Usage) -> Usage:
    """What is charged; a figure that is not told is the same as it was."""
    fresh, read = wire.input_tokens, wire.cache_read_input_tokens
    written = wire.cache_creation_input_tokens
    if fresh is None:
        fresh = so_far.input_tokens - so_far.cached_tokens - so_far.cache_write_tokens
    read = so_far.cached_tokens if read is None else read
    written = so_far.cache_write_tokens if written is None else written
    details = wire.output_tokens_details
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=wire.output_tokens,
        cached_tokens=read,
        cache_write_tokens=written,
        thinking_tokens=details.thinking_tokens if details else so_far.thinking_tokens,
    )


class StreamDecoder:
    """Turns the SDK's raw stream events of one stream into events.

    The protocol numbers content blocks, text among them; tool calls are numbered here from 0.
    """

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._usage = Usage()
        self._last: Finished | None = None
        self._stopped = False
        self._said = self._block_start = 0  # characters of text
        self._cited: list[Any] = []  # what the open block cites

    def decode(self, event: Any) -> Iterator[Event]:
        """The events of one wire event; pings and kinds that are not known have none."""
        if event.type == "content_block_delta":
            yield from self._delta(event)
        elif event.type == "content_block_start":
            self._block_start, self._cited = self._said, []
            block = event.content_block
            if block.type == "tool_use":
                index = self._calls.setdefault(event.index, len(self._calls))
                yield ToolCallDelta(index=index, id=block.id, name=block.name)
        elif event.type == "content_block_stop":
            found = _citations(self._cited, self._block_start, self._said)
            yield from (CitationDelta(citation=citation) for citation in found)
        elif event.type == "message_start":
            self._usage = _usage(event.message.usage, self._usage)
            prompt = self._usage.model_copy(update={"output_tokens": 0})
            yield Started(id=event.message.id, model=event.message.model, usage=prompt)
        elif event.type == "message_delta":
            self._last = Finished(
                stop_reason=_STOP.get(event.delta.stop_reason, "stop"),
                stop_sequence=event.delta.stop_sequence,
                usage=_usage(event.usage, self._usage),
            )
        elif event.type == "message_stop":
            self._stopped = True

    def _delta(self, event: Any) -> Iterator[Event]:
        delta = event.delta
        if delta.type == "text_delta":
            self._said += len(delta.text)
            yield TextDelta(text=delta.text)
        elif delta.type == "thinking_delta":
            yield ThinkingDelta(text=delta.thinking)
        elif delta.type == "signature_delta":
            yield ThinkingDelta(text="", signature=delta.signature)
        elif delta.type == "citations_delta":
            self._cited.append(delta.citation)
        elif delta.type == "input_json_delta" and delta.partial_json:
            yield ToolCallDelta(index=self._calls[event.index], arguments=delta.partial_json)

    def end(self) -> Iterator[Finished]:
        """``Finished``, if the stream said that it was whole."""
        if self._stopped and self._last is not None:
            yield self._last

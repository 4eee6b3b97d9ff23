"""Anthropic's messages: how a server says an answer, whole and streamed.

Wire format: the Claude API reference, "Messages" and "Streaming"; checked by the SDK's own types.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from pydantic_core import from_json

from workbench.events import (
    CitationDelta,
    Event,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from workbench.messages import Citation, Completion, StopReason, ToolCall, Usage
from workbench.wire import sse
from workbench.wire.anthropic_cache import LONG
from workbench.wire.dialect import Call, compact

__all__ = ["STOPS", "StreamEncoder", "call_block", "encode_completions"]

STOPS: dict[StopReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "context_window": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "pause": "pause_turn",
}


def encode_completions(call: Call, completions: Sequence[Completion], created: int) -> dict[str, object]:
    """A ``message`` (the protocol knows no second choice, and no date)."""
    completion = completions[0]
    return {
        **_head(call, completion.id, completion.model, completion.usage),
        "content": _content(call, completion),
        **_stop(completion),
    }


def _head(call: Call, message_id: str, model: str, usage: Usage) -> dict[str, object]:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {
            **_tokens(usage),
            "cache_creation": _written(call, usage),
            "service_tier": call.options.get("service_tier", "standard"),
            "inference_geo": call.options.get("inference_geo") or "global",
            "speed": call.options.get("speed") or "standard",
        },
    }


def _tokens(usage: Usage) -> dict[str, object]:
    """The figures that grow with an answer; ``input_tokens`` are those that no cache has to do with."""
    read, written = usage.cached_tokens, usage.cache_write_tokens
    thought = {"thinking_tokens": usage.thinking_tokens}
    return {
        "input_tokens": usage.input_tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.output_tokens,
        **({"output_tokens_details": thought} if usage.thinking_tokens else {}),
    }


def _written(call: Call, usage: Usage) -> dict[str, int]:
    """What was written to the cache by how long it is kept: first what is kept long, then the rest."""
    long = max((p.tokens for p in call.prefixes if p.keep_seconds == LONG), default=0)
    hour = min(max(0, long - usage.cached_tokens), usage.cache_write_tokens)
    minutes = usage.cache_write_tokens - hour
    return {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour}


def _stop(answer: Completion | Finished) -> dict[str, object]:
    refused = {"type": "refusal", "category": None, "explanation": None}
    sequence = answer.stop_sequence
    return {
        "stop_reason": STOPS[answer.stop_reason] if sequence is None else "stop_sequence",
        "stop_sequence": sequence,
        "stop_details": refused if answer.stop_reason == "refusal" else None,
    }


def _content(call: Call, answer: Completion) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thinking or answer.signature:
        thinking = answer.thinking if _shows_thinking(call) else ""
        blocks.append({"type": "thinking", "thinking": thinking, "signature": answer.signature})
    for text, citations in answer.passages():
        found = {"citations": [_citation(call, citation) for citation in citations]} if citations else {}
        blocks.append({"type": "text", "text": text, **found})
    return blocks + [call_block(tool_call) for tool_call in answer.tool_calls]


def _shows_thinking(call: Call) -> bool:
    return bool(call.options.get("show_thinking", True))


def call_block(call: ToolCall) -> dict[str, Any]:
    """A tool call as it stands in an answer, and in the conversation that goes on."""
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call)}


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


def _citation(call: Call, citation: Citation) -> dict[str, object]:
    """Characters of a plain text; of a document in parts, the part in which they are."""
    parts: Mapping[int, Sequence[str]] = call.options.get("parts", {})
    where = {"document_index": citation.document, "document_title": citation.title, "file_id": None}
    start = citation.source_start
    if citation.document not in parts:
        end = start + len(citation.cited_text)
        indices = {"start_char_index": start, "end_char_index": end}
        return {"type": "char_location", "cited_text": citation.cited_text, **where, **indices}
    cited = parts[citation.document]
    begins = list(
        accumulate((len(part) + 1 for part in cited[:-1]), initial=0)
    )  # they are joined by new lines
    index = bisect_right(begins, start) - 1
    indices = {"start_block_index": index, "end_block_index": index + 1}
    return {"type": "content_block_location", "cited_text": cited[index], **where, **indices}


_EMPTY: dict[str, dict[str, Any]] = {  # blocks as they begin
    "text": {"type": "text", "text": ""},
    "cited": {"type": "text", "text": "", "citations": []},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}


class StreamEncoder:
    """One stream of events; a content block is open at a time."""

    def __init__(self, call: Call, created: int, input_tokens: int) -> None:
        self._call = call
        self._shows_thinking = _shows_thinking(call)
        self._index = -1
        self._open = ""  # what the block is that has begun

    def encode(self, event: Event, choice: int = 0) -> bytes:
        """The server-sent events that say `event` (the protocol knows no second choice)."""
        if isinstance(event, TextDelta):
            kind = "cited" if event.cited else "text"
            start = b"" if self._open == kind else self._start(kind, _EMPTY[kind])
            return start + self._delta(f'{{"type":"text_delta","text":{compact(event.text)}}}')
        if isinstance(event, ToolCallDelta):
            return self._tool_call(event)
        if isinstance(event, ThinkingDelta):
            return self._think(event)
        if isinstance(event, CitationDelta):
            self._open = "passage"  # what follows is in another block
            citation = compact(_citation(self._call, event.citation))
            return self._delta(f'{{"type":"citations_delta","citation":{citation}}}')
        if isinstance(event, RefusalDelta):
            return self.encode(TextDelta(text=event.text))
        if isinstance(event, Started):
            return _event(
                {"type": "message_start", "message": _head(self._call, event.id, event.model, event.usage)}
            )
        last = {"type": "message_delta", "delta": _stop(event), "usage": _tokens(event.usage)}
        return self._stop() + _event(last)

    def end(self) -> bytes:
        """The end mark."""
        return _event({"type": "message_stop"})

    def _tool_call(self, event: ToolCallDelta) -> bytes:
        start = b""
        if event.id is not None:
            start = self._start("tool_use", call_block(ToolCall(id=event.id, name=event.name or "")))
        if not event.arguments:
            return start
        fragment = compact(event.arguments)
        return start + self._delta(f'{{"type":"input_json_delta","partial_json":{fragment}}}')

    def _think(self, event: ThinkingDelta) -> bytes:
        said = b"" if self._open == "thinking" else self._start("thinking", _EMPTY["thinking"])
        if event.text and self._shows_thinking:
            said += self._delta(f'{{"type":"thinking_delta","thinking":{compact(event.text)}}}')
        if event.signature:
            said += self._delta(f'{{"type":"signature_delta","signature":{compact(event.signature)}}}')
        return said

    def _start(self, kind: str, block: Mapping[str, Any]) -> bytes:
        stop = self._stop()
        self._index += 1
        self._open = kind
        start = _event({"type": "content_block_start", "index": self._index, "content_block": block})
        return stop + start + (b"" if self._index else _PING)

    def _delta(self, delta: str) -> bytes:
        data = f'{{"type":"content_block_delta","index":{self._index},"delta":{delta}}}'
        return f"event: content_block_delta\ndata: {data}\n\n".encode()

    def _stop(self) -> bytes:
        was_open, self._open = self._open, ""
        return _event({"type": "content_block_stop", "index": self._index}) if was_open else b""


def _event(data: dict[str, Any]) -> bytes:
    return sse.encode(compact(data), data["type"])


_PING = _event({"type": "ping"})  # the API sends one after the first block has begun

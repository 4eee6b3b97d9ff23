"""Anthropic's messages: the answer, both directions, whole and streamed.

Wire format: the Claude API reference, "Messages" and "Streaming"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

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
from workbench.messages import Completion, StopReason, ToolCall, Usage
from workbench.wire import sse
from workbench.wire.anthropic_request import encode_blocks
from workbench.wire.dialect import Call, compact

__all__ = ["StreamDecoder", "StreamEncoder", "decode_completion", "encode_completions"]

_STOPS: dict[StopReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "context_window": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "pause": "pause_turn",
}
_STOP: dict[str, StopReason] = {
    **{wire: stop for stop, wire in _STOPS.items()},
    "stop_sequence": "stop",
}


def encode_completions(call: Call, completions: Sequence[Completion], created: int) -> dict[str, object]:
    """A ``message`` (the protocol knows no second choice, and no date)."""
    completion = completions[0]
    return {
        **_message_head(completion.id, completion.model, completion.usage),
        "content": encode_blocks(completion),
        "stop_reason": _stop_reason(completion),
        "stop_sequence": completion.stop_sequence,
    }


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


class StreamEncoder:
    """One stream of events; a content block is open at a time."""

    def __init__(self, call: Call, created: int, input_tokens: int) -> None:
        self._input_tokens = input_tokens
        self._block = -1
        self._call: int | None = None
        self._open = False

    def encode(self, event: Event, choice: int = 0) -> bytes:
        """The server-sent events that say `event` (the protocol knows no second choice)."""
        if isinstance(event, ThinkingDelta | CitationDelta):
            return b""
        if isinstance(event, TextDelta | RefusalDelta):
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
        start = _event({"type": "content_block_start", "index": self._block, "content_block": block})
        return stop + start + (b"" if self._block else _PING)

    def _delta(self, delta: str) -> bytes:
        data = f'{{"type":"content_block_delta","index":{self._block},"delta":{delta}}}'
        return f"event: content_block_delta\ndata: {data}\n\n".encode()

    def _stop(self) -> bytes:
        was_open, self._open = self._open, False
        return _event({"type": "content_block_stop", "index": self._block}) if was_open else b""


def _event(data: dict[str, Any]) -> bytes:
    return sse.encode(compact(data), data["type"])


_PING = _event({"type": "ping"})  # the API sends one after the first block has begun


# -- the client's side: the SDK's objects back to our vocabulary ----------------------------------------


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

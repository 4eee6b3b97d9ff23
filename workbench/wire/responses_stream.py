"""OpenAI's Responses API: the answer as a stream, both directions.

Wire format: the OpenAI API reference, "Streaming events"; checked by the SDK's stream helper, which puts the
response together again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from workbench.events import (
    Accumulator,
    CitationDelta,
    Event,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from workbench.messages import ToolCall
from workbench.wire import sse
from workbench.wire.dialect import Call, compact, takes_free_text
from workbench.wire.openai_logprobs import encode_token, encode_tokens
from workbench.wire.responses_answer import (
    decode_completion,
    encode_completions,
    in_progress,
)
from workbench.wire.responses_shapes import (
    call_item,
    item_id,
    message_item,
    reasoning_item,
    refusal_part,
    summary_part,
    text_part,
)

__all__ = ["StreamDecoder", "StreamEncoder"]


class _Kind(NamedTuple):
    """How the text of an item is streamed.

    Args:
        event: ``response.{event}.delta`` and ``.done`` say it.
        name: under which the latter, and the part, have it whole.
        holder: where the item has it.
        part: the part of the item that it stands in, if it does not stand there by itself.
        part_event: ``response.{part_event}.added`` and ``.done`` say that part.
        counter: counts the parts.
    """

    event: str
    name: str
    holder: str
    part: Callable[..., dict[str, Any]] | None = None
    part_event: str = ""
    counter: str = ""


_TEXT = _Kind("output_text", "text", "content", text_part, "content_part", "content_index")
_REFUSAL = _Kind("refusal", "refusal", "content", refusal_part, "content_part", "content_index")
_SUMMARY = _Kind(
    "reasoning_summary_text", "text", "summary", summary_part, "reasoning_summary_part", "summary_index"
)
_ARGUMENTS = _Kind("function_call_arguments", "arguments", "arguments")
_INPUT = _Kind("custom_tool_call_input", "input", "input")


class StreamEncoder:
    """One stream of events; an item is open at a time.

    Args:
        call: what is asked.
        created: the response's date.
        input_tokens: of the prompt; the protocol tells them at the end.
        after: the number of the last event that the client already has; it gets those behind it.
    """

    def __init__(self, call: Call, created: int, input_tokens: int, after: int = -1) -> None:
        self._call, self._created, self._after = call, created, after
        self._answer = Accumulator()
        self._sequence = 0
        self._queued = False
        self._index = -1
        self._item: dict[str, Any] | None = None  # the open one, as it was when it was opened
        self._kind: _Kind | None = None
        self._place: dict[str, Any] = {}
        self._said: list[str] = []
        self._head = ""

    def queue(self, started: Started) -> bytes:
        """The events of a response that waits for its turn in the background."""
        self._queued = True
        response = in_progress(started.id, started.model, self._call, self._created) | {"status": "queued"}
        created = self._event("response.created", response=response)
        return created + self._event("response.queued", response=response)

    def encode(self, event: Event, choice: int = 0) -> bytes:
        """The server-sent events that say `event` (the protocol knows no second choice)."""
        self._answer.add(event)
        if isinstance(event, TextDelta):
            return self._message(_TEXT) + self._delta(event.text)
        if isinstance(event, ToolCallDelta):
            return (b"" if event.id is None else self._start_call(event)) + self._delta(event.arguments)
        if isinstance(event, ThinkingDelta):
            return self._think(event)
        if isinstance(event, RefusalDelta):
            return self._message(_REFUSAL) + self._delta(event.text)
        if isinstance(event, Started):
            return self._start(event)
        return b"" if isinstance(event, CitationDelta) else self._finish(event)

    def end(self) -> bytes:
        """Nothing: the last event is the end."""
        return b""

    def _start(self, event: Started) -> bytes:
        response = in_progress(event.id, event.model, self._call, self._created)
        self._id = event.id
        created = b"" if self._queued else self._event("response.created", response=response)
        return created + self._event("response.in_progress", response=response)

    def _think(self, event: ThinkingDelta) -> bytes:
        opened = b""
        if self._item is None:
            encrypted = "" if self._call.options["encrypted"] else None
            item = reasoning_item(self._new_id("rs"), "", encrypted)
            opened = self._open(_SUMMARY if event.text and self._call.options["summary"] else None, item)
        if self._item and event.signature and "encrypted_content" in self._item:
            self._item["encrypted_content"] = event.signature
        return opened + self._delta(event.text)

    def _message(self, kind: _Kind) -> bytes:
        if self._kind is kind:
            return b""
        return self._open(kind, message_item(self._new_id("msg"), None, "in_progress"))

    def _start_call(self, event: ToolCallDelta) -> bytes:
        call = ToolCall(id=event.id or "", name=event.name or "")
        custom = takes_free_text(self._call.request, event.name)
        item = call_item(self._id, self._index + 1, call, custom=custom, status="in_progress")
        return self._open(_INPUT if custom else _ARGUMENTS, item)

    def _finish(self, event: Finished) -> bytes:
        response: dict[str, Any] = encode_completions(self._call, [self._answer.completion()], self._created)
        output = response["output"]
        empty = len(output) > self._index + 1  # nothing has been said, and that is the answer
        opened = self._message(_REFUSAL if event.stop_reason == "refusal" else _TEXT) if empty else b""
        closed = self._close(output[-1].get("status") if output else None)
        return opened + closed + self._event(f"response.{response['status']}", response=response)

    def _new_id(self, prefix: str) -> str:
        return item_id(prefix, self._id, self._index + 1)

    def _open(self, kind: _Kind | None, item: dict[str, Any]) -> bytes:
        closed = self._close()
        self._index += 1
        self._kind, self._item, self._said = kind, item, []
        events = closed + self._event("response.output_item.added", output_index=self._index, item=item)
        self._place = {"item_id": item["id"], "output_index": self._index}
        if kind is None:
            return events
        if kind.part is not None:
            self._place[kind.counter] = 0
            empty = kind.part(**{kind.name: ""})
            events += self._event(f"response.{kind.part_event}.added", **self._place, part=empty)
        name = f"response.{kind.event}.delta"
        same = compact(self._place | ({"logprobs": []} if kind is _TEXT else {}))[1:-1]
        self._head = f'event: {name}\ndata: {{"type":"{name}",{same},"delta":'
        return events

    def _delta(self, text: str) -> bytes:
        if self._kind is None or not text:
            return b""
        self._said.append(text)
        if self._kind is _TEXT and self._call.options["logprobs"] is not None:
            token = encode_token(self._call, len(self._said) - 1, text)
            return self._event("response.output_text.delta", **self._place, delta=text, logprobs=[token])
        self._sequence += 1
        if self._sequence - 1 <= self._after:
            return b""
        return f'{self._head}{compact(text)},"sequence_number":{self._sequence - 1}}}\n\n'.encode()

    def _close(self, status: str | None = "completed") -> bytes:
        if self._item is None:
            return b""
        item, kind, text, events = self._item, self._kind, "".join(self._said), b""
        self._item = self._kind = None
        if "status" in item:
            item = item | {"status": status}
        if kind is not None:
            whole: dict[str, Any] = {kind.name: text}
            if kind is _TEXT:
                whole["logprobs"] = encode_tokens(self._call, text)
            events = self._event(f"response.{kind.event}.done", **self._place, **whole)
            held: Any = text
            if kind.part is not None:
                part = kind.part(**whole)
                events += self._event(f"response.{kind.part_event}.done", **self._place, part=part)
                held = [part]
            item = item | {kind.holder: held}
        return events + self._event("response.output_item.done", output_index=self._index, item=item)

    def _event(self, name: str, **data: Any) -> bytes:
        number = self._sequence
        self._sequence += 1
        if number <= self._after:
            return b""
        return sse.encode(compact({"type": name, **data, "sequence_number": number}), name)


# -- the client's side: the SDK's objects back to our vocabulary ----------------------------------------


class StreamDecoder:
    """Turns the SDK's raw stream events of one stream into events.

    The protocol numbers output items, messages among them; tool calls are numbered here from 0.
    """

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._last: Finished | None = None

    def decode(self, event: Any) -> Iterator[Event]:
        """The events of one wire event; kinds that are not known have none.

        Raises:
            ValueError: the provider says that it has failed.
        """
        kind = event.type
        if kind == "response.output_text.delta":
            yield TextDelta(text=event.delta)
        elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
            yield ToolCallDelta(index=self._calls[event.output_index], arguments=event.delta)
        elif kind == "response.refusal.delta":
            yield RefusalDelta(text=event.delta)
        elif kind == "response.reasoning_summary_text.delta":
            yield ThinkingDelta(text=event.delta)
        elif kind == "response.reasoning_summary_part.added" and event.summary_index:
            yield ThinkingDelta(text="\n\n")
        elif kind == "response.created":
            yield Started(id=event.response.id, model=event.response.model)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            yield from self._item(event, done=kind.endswith("done"))
        elif kind in ("response.completed", "response.incomplete"):
            whole = decode_completion(event.response)
            self._last = Finished(stop_reason=whole.stop_reason, usage=whole.usage)
        elif kind in ("response.failed", "error"):
            error = event.response.error if kind == "response.failed" else event
            raise ValueError(f"the provider failed: {error.message}")

    def _item(self, event: Any, *, done: bool) -> Iterator[Event]:
        item = event.item
        if item.type in ("function_call", "custom_tool_call") and not done:
            index = self._calls.setdefault(event.output_index, len(self._calls))
            yield ToolCallDelta(index=index, id=item.call_id, name=item.name)
        elif item.type == "reasoning" and done and item.encrypted_content:
            yield ThinkingDelta(text="", signature=item.encrypted_content)

    def end(self) -> Iterator[Finished]:
        """``Finished``, if the stream said that it was whole."""
        if self._last is not None:
            yield self._last

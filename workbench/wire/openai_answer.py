"""OpenAI's chat completions: the answer, both directions, whole and streamed.

Wire format: the OpenAI API reference, "Chat" and "Streaming"; checked by the SDK's own types.
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
from workbench.wire.dialect import Call, compact
from workbench.wire.openai_request import encode_call

__all__ = ["StreamDecoder", "StreamEncoder", "decode_completion", "encode_completions"]

_FINISH: dict[StopReason, str] = {
    "stop": "stop",
    "length": "length",
    "context_window": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
    "pause": "stop",
}
_STOP: dict[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "refusal",
}


def encode_completions(call: Call, completions: Sequence[Completion], created: int) -> dict[str, object]:
    """A ``chat.completion`` with one choice for each of `completions`."""
    first = completions[0]
    output_tokens = sum(c.usage.output_tokens for c in completions)
    usage = Usage(input_tokens=first.usage.input_tokens, output_tokens=output_tokens)
    return {
        "id": first.id,
        "object": "chat.completion",
        "created": created,
        "model": first.model,
        "choices": [_encode_choice(index, completion) for index, completion in enumerate(completions)],
        "usage": _encode_usage(usage),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _encode_choice(index: int, completion: Completion) -> dict[str, object]:
    return {
        "index": index,
        "message": _encode_answer(completion),
        "logprobs": None,
        "finish_reason": _FINISH[completion.stop_reason],
    }


def _encode_usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


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
        message["tool_calls"] = [encode_call(call) for call in completion.tool_calls]
    return message


class StreamEncoder:
    """One stream of chunks; all but the delta is the same in each, and is written only once."""

    def __init__(self, call: Call, created: int, input_tokens: int) -> None:
        self._created = created
        self._include_usage = call.include_usage
        self._head = ""
        self._tail = '],"usage":null}\n\n' if call.include_usage else "]}\n\n"
        self._usage = Usage()
        self._silent: set[int] = set()  # choices that have not said anything yet, not even their role

    def encode(self, event: Event, choice: int = 0) -> bytes:
        """The chunk that says `event` in the choice of that index."""
        if isinstance(event, Started):
            self._start(event, choice)
            return b""
        role = self._role(event, choice) if choice in self._silent else b""
        if isinstance(event, TextDelta):
            return role + self._chunk(choice, f'{{"content":{compact(event.text)}}}')
        if isinstance(event, RefusalDelta):
            return role + self._chunk(choice, f'{{"refusal":{compact(event.text)}}}')
        if isinstance(event, ThinkingDelta | CitationDelta):  # chat completions do not show them
            return role
        if isinstance(event, ToolCallDelta):
            return role + self._chunk(choice, compact({"tool_calls": [_call_delta(event)]}))
        self._usage = Usage(
            input_tokens=event.usage.input_tokens,
            output_tokens=self._usage.output_tokens + event.usage.output_tokens,
        )
        return role + self._chunk(choice, "{}", f'"{_FINISH[event.stop_reason]}"')

    def _start(self, event: Started, choice: int) -> None:
        self._silent.add(choice)
        self._head = self._head or (
            f'data: {{"id":{compact(event.id)},"object":"chat.completion.chunk",'
            f'"created":{self._created},"model":{compact(event.model)},'
            '"service_tier":"default","system_fingerprint":"fp_simulated","choices":['
        )

    def _role(self, event: Event, choice: int) -> bytes:
        """The chunk that opens a choice; its content is null if tool calls follow."""
        self._silent.remove(choice)
        content = "null" if isinstance(event, ToolCallDelta) else '""'
        return self._chunk(choice, f'{{"role":"assistant","content":{content},"refusal":null}}')

    def _chunk(self, choice: int, delta: str, finish: str = "null") -> bytes:
        said = f'{{"index":{choice},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}'
        return f"{self._head}{said}{self._tail}".encode()

    def end(self) -> bytes:
        """The usage, where it was asked for, and the end mark."""
        usage = f'{self._head}],"usage":{compact(_encode_usage(self._usage))}}}\n\n'
        return (usage if self._include_usage else "").encode() + sse.encode("[DONE]")


def _call_delta(event: ToolCallDelta) -> dict[str, object]:
    if event.id is None:
        return {"index": event.index, "function": {"arguments": event.arguments}}
    function = {"name": event.name, "arguments": event.arguments}
    return {"index": event.index, "id": event.id, "type": "function", "function": function}


# -- the client's side: the SDK's objects back to our vocabulary ----------------------------------------


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
        stop_reason=_decode_stop(
            choice.finish_reason,
            calls=bool(choice.message.tool_calls),
            refused=bool(choice.message.refusal),
        ),
        usage=_decode_usage(answer.usage),
    )


def _decode_stop(finish: str, *, calls: bool, refused: bool) -> StopReason:
    """OpenAI says "stop" of a call that was forced by its name, and of a refusal, too."""
    if finish != "stop":
        return _STOP.get(finish, "stop")
    return "tool_calls" if calls else "refusal" if refused else "stop"


class StreamDecoder:
    """Turns the SDK's ``ChatCompletionChunk`` objects of one stream into events.

    The usage comes in a chunk of its own after the one with the finish reason, so ``Finished`` is only
    known at the end of the stream.
    """

    def __init__(self) -> None:
        self._started = False
        self._finish: str | None = None
        self._calls = self._refused = False
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
            yield from self._delta(choice.delta)
            self._finish = choice.finish_reason or self._finish

    def _delta(self, delta: Any) -> Iterator[Event]:
        self._refused = self._refused or bool(delta.refusal)
        if delta.content:
            yield TextDelta(text=delta.content)
        if delta.refusal:
            yield RefusalDelta(text=delta.refusal)
        for call in delta.tool_calls or ():
            self._calls = True
            name, arguments = call.function.name, call.function.arguments
            yield ToolCallDelta(index=call.index, id=call.id, name=name, arguments=arguments or "")

    def end(self) -> Iterator[Finished]:
        """``Finished``, if the stream said that it was whole."""
        if self._finish is not None:
            reason = _decode_stop(self._finish, calls=self._calls, refused=self._refused)
            yield Finished(stop_reason=reason, usage=self._usage)

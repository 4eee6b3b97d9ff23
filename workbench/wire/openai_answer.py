"""OpenAI's chat completions: the answer, both directions, whole and streamed.

Wire format: the OpenAI API reference, "Chat" and "Streaming"; checked by the SDK's own types.
"""

from __future__ import annotations

import functools
import hashlib
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
from workbench.wire.openai_logprobs import encode_logprobs, encode_token
from workbench.wire.openai_request import encode_call

__all__ = ["StreamDecoder", "StreamEncoder", "decode_completion", "encode_completions"]

_FINISH: dict[StopReason, str] = {
    "stop": "stop",
    "length": "length",
    "context_window": "length",
    "tool_calls": "tool_calls",
    "refusal": "stop",
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
    usage = first.usage
    for other in completions[1:]:
        usage = _with_choice(usage, other.usage)
    return {
        "id": first.id,
        "object": "chat.completion",
        "created": created,
        "model": first.model,
        "choices": [_encode_choice(call, index, choice) for index, choice in enumerate(completions)],
        "usage": _encode_usage(usage),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _with_choice(usage: Usage, other: Usage) -> Usage:
    """The usage with another choice's: the prompt is read once."""
    output = Usage(output_tokens=other.output_tokens, thinking_tokens=other.thinking_tokens)
    return usage + output


def _encode_choice(call: Call, index: int, completion: Completion) -> dict[str, object]:
    return {
        "index": index,
        "message": _encode_answer(call, completion),
        "logprobs": encode_logprobs(call, completion),
        "finish_reason": _finish_reason(call, completion.stop_reason),
    }


def _finish_reason(call: Call, reason: StopReason) -> str:
    if reason == "tool_calls" and call.request.tool_choice not in ("auto", "required"):
        return "stop"  # the call was forced by its name
    if reason == "tool_calls" and call.options.get("functions"):
        return "function_call"
    return _FINISH[reason]


def _encode_usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.thinking_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _encode_answer(call: Call, completion: Completion) -> dict[str, object]:
    refused = completion.stop_reason == "refusal" and completion.text != ""
    content = completion.text or (None if completion.tool_calls else "")
    message: dict[str, object] = {
        "role": "assistant",
        "content": None if refused else content,
        "refusal": completion.text if refused else None,
        "annotations": [],
    }
    if completion.tool_calls and call.options.get("functions"):
        called = completion.tool_calls[0]
        message["function_call"] = {"name": called.name, "arguments": called.arguments}
    elif completion.tool_calls:
        message["tool_calls"] = [encode_call(called, call.request) for called in completion.tool_calls]
    return message


_FILL = 16  # what a chunk says of its choice, with its noise, is a multiple of so many characters


def _say(choice: int, delta: str, finish: str = "null", logprobs: str = "null") -> tuple[bytes, int]:
    """What a chunk says of a choice, and how many characters of noise it takes."""
    said = f'{{"index":{choice},"delta":{delta},"logprobs":{logprobs},"finish_reason":{finish}}}'
    return said.encode(), _FILL - len(said) % _FILL


@functools.lru_cache(maxsize=4096)
def _say_text(choice: int, text: str) -> tuple[bytes, int]:
    """The same tokens come again and again."""
    return _say(choice, f'{{"content":{compact(text)}}}')


class StreamEncoder:
    """One stream of chunks; all but the delta is the same in each, and is written only once."""

    def __init__(self, call: Call, created: int, input_tokens: int) -> None:
        self._call, self._created = call, created
        self._functions = bool(call.options.get("functions"))
        self._logprobs = call.options.get("logprobs") is not None
        self._head = b""
        self._ends: Sequence[bytes] = ()  # of a chunk, by how many characters of noise it takes
        self._usage: Usage | None = None
        self._said: dict[int, int] = {}  # tokens of each choice that has opened
        self._custom: set[tuple[int, int]] = set()  # calls of tools that take free text

    def encode(self, event: Event, choice: int = 0) -> bytes:
        """The chunk that says `event` in the choice of that index."""
        if type(event) is TextDelta and choice in self._said and not self._logprobs:  # most are
            said, fill = _say_text(choice, event.text)
            return self._head + said + self._ends[fill]
        if isinstance(event, ThinkingDelta | CitationDelta):  # chat completions do not show them
            return b""
        if isinstance(event, Started):
            self._start(event)
            return b""
        role = b"" if choice in self._said else self._open(event, choice)
        if isinstance(event, TextDelta):
            return role + self._text("content", event.text, choice)
        if isinstance(event, RefusalDelta):
            return role + self._text("refusal", event.text, choice)
        if isinstance(event, ToolCallDelta):
            return role + self._chunk(choice, compact(self._call_delta(event, choice)))
        self._usage = event.usage if self._usage is None else _with_choice(self._usage, event.usage)
        return role + self._chunk(choice, "{}", f'"{_finish_reason(self._call, event.stop_reason)}"')

    def _start(self, event: Started) -> None:
        head = (
            f'data: {{"id":{compact(event.id)},"object":"chat.completion.chunk",'
            f'"created":{self._created},"model":{compact(event.model)},'
            '"service_tier":"default","system_fingerprint":"fp_simulated","choices":['
        )
        tail = '],"usage":null' if self._call.include_usage else "]"
        ends = [f"{tail}}}\n\n"] * (_FILL + 1)
        if self._call.options.get("obfuscation"):
            noise = hashlib.blake2b(event.id.encode()).hexdigest()
            ends = [f'{tail},"obfuscation":"{noise[:fill]}"}}\n\n' for fill in range(_FILL + 1)]
        self._head, self._ends = head.encode(), [end.encode() for end in ends]

    def _open(self, event: Event, choice: int) -> bytes:
        """The chunk that opens a choice; its content is null if it has none but calls or a refusal."""
        self._said[choice] = 0
        content = "null" if isinstance(event, ToolCallDelta | RefusalDelta) else '""'
        return self._chunk(choice, f'{{"role":"assistant","content":{content},"refusal":null}}')

    def _text(self, kind: str, text: str, choice: int) -> bytes:
        delta = f'{{"{kind}":{compact(text)}}}'
        if not self._logprobs:
            return self._chunk(choice, delta)
        tokens = [encode_token(self._call, self._said[choice], text)]
        self._said[choice] += 1
        logprobs = compact({"content": None, "refusal": None} | {kind: tokens})
        return self._chunk(choice, delta, logprobs=logprobs)

    def _call_delta(self, event: ToolCallDelta, choice: int) -> dict[str, object]:
        arguments = {"arguments": event.arguments}
        if self._functions:
            return {"function_call": arguments if event.name is None else {"name": event.name, **arguments}}
        delta: dict[str, object] = {"index": event.index}
        if event.name is not None:
            called = ToolCall(id=event.id or "", name=event.name, arguments=event.arguments)
            delta |= encode_call(called, self._call.request)
            if "custom" in delta:
                self._custom.add((choice, event.index))
        elif (choice, event.index) in self._custom:
            delta["custom"] = {"input": event.arguments}
        else:
            delta["function"] = arguments
        return {"tool_calls": [delta]}

    def _chunk(self, choice: int, delta: str, finish: str = "null", logprobs: str = "null") -> bytes:
        said, fill = _say(choice, delta, finish, logprobs)
        return self._head + said + self._ends[fill]

    def end(self) -> bytes:
        """The usage, where it was asked for, and the end mark."""
        usage = f'],"usage":{compact(_encode_usage(self._usage or Usage()))}}}\n\n'.encode()
        return (self._head + usage if self._call.include_usage else b"") + sse.encode("[DONE]")


# -- the client's side: the SDK's objects back to our vocabulary ----------------------------------------


def _decode_usage(usage: Any) -> Usage:
    if usage is None:
        return Usage()
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cached_tokens=(prompt and prompt.cached_tokens) or 0,
        thinking_tokens=(completion and completion.reasoning_tokens) or 0,
    )


def decode_completion(answer: Any) -> Completion:
    """The first choice of the SDK's ``ChatCompletion``."""
    choice = answer.choices[0]
    return Completion(
        id=answer.id,
        model=answer.model,
        text=choice.message.content or choice.message.refusal or "",
        tool_calls=tuple([_decode_call(call) for call in choice.message.tool_calls or ()]),
        stop_reason=_decode_stop(
            choice.finish_reason,
            calls=bool(choice.message.tool_calls),
            refused=bool(choice.message.refusal),
        ),
        usage=_decode_usage(answer.usage),
    )


def _decode_call(call: Any) -> ToolCall:
    if call.type == "custom":
        return ToolCall(id=call.id, name=call.custom.name, arguments=call.custom.input)
    return ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)


def _called(delta: Any) -> tuple[str | None, str | None]:
    """Name and arguments of a fragment; the SDK's type knows no calls of tools that take free text."""
    if (custom := (delta.model_extra or {}).get("custom")) is not None:
        return custom.get("name"), custom.get("input")
    return delta.function.name, delta.function.arguments


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
        """The events of one chunk; it may have no choices, and what is no chunk has none to speak of."""
        if chunk.choices is None:
            return
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
            name, arguments = _called(call)
            yield ToolCallDelta(index=call.index, id=call.id, name=name, arguments=arguments or "")

    def end(self) -> Iterator[Finished]:
        """``Finished``, if the stream said that it was whole."""
        if self._finish is not None:
            reason = _decode_stop(self._finish, calls=self._calls, refused=self._refused)
            yield Finished(stop_reason=reason, usage=self._usage)

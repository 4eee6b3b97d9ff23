"""What a streamed answer is made of, independent of any provider.

A stream is ``Started``, then any number of deltas, then ``Finished``.
:data:`Event` is the union of them, discriminated by `type`.  :func:`split` cuts a whole answer into such a
stream and :class:`Accumulator` puts one together again.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from workbench.messages import Citation, Completion, StopReason, ToolCall, Usage
from workbench.tokens import pieces

__all__ = [
    "Accumulator",
    "CitationDelta",
    "Event",
    "Finished",
    "RefusalDelta",
    "Started",
    "TextDelta",
    "ThinkingDelta",
    "ToolCallDelta",
    "split",
    "split_tokens",
]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Started(_Event):
    """The provider has begun to answer; `usage` is the prompt's, where it tells already."""

    type: Literal["started"] = "started"
    id: str
    model: str
    usage: Usage = Usage()


class TextDelta(_Event):
    """The next piece of text; `cited` if it is part of a passage that ends with a citation."""

    type: Literal["text"] = "text"
    text: str
    cited: bool = False


class RefusalDelta(_Event):
    """The next piece of the text by which the model refuses to answer."""

    type: Literal["refusal"] = "refusal"
    text: str


class ThinkingDelta(_Event):
    """The next piece of what the model thinks; `signature` comes with the last."""

    type: Literal["thinking"] = "thinking"
    text: str
    signature: str = ""


class CitationDelta(_Event):
    """The passage that ends here rests on a document."""

    type: Literal["citation"] = "citation"
    citation: Citation


class ToolCallDelta(_Event):
    """The next fragment of a tool call.

    `index` tells which call of the answer it belongs to; `id` and `name` come with its first fragment,
    and `arguments` is a fragment of JSON text: it is not parsed before the stream has finished.
    """

    type: Literal["tool_call"] = "tool_call"
    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Finished(_Event):
    """The answer is whole."""

    type: Literal["finished"] = "finished"
    stop_reason: StopReason
    stop_sequence: str | None = None
    usage: Usage = Usage()


Event = Annotated[
    Started | TextDelta | RefusalDelta | ThinkingDelta | CitationDelta | ToolCallDelta | Finished,
    Field(discriminator="type"),
]


@functools.lru_cache(maxsize=4096)
def _text_delta(text: str, cited: bool) -> TextDelta:
    """The same words come again and again, and an event never changes."""
    return TextDelta(text=text, cited=cited)


def split(completion: Completion) -> Iterator[Event]:
    """The stream that says `completion` token by token."""
    return (event for event in split_tokens(completion) if event is not None)


def split_tokens(completion: Completion) -> Iterator[Event | None]:
    """An event for each token; None where one ends inside a character, and nothing can be said of it yet.

    A tool call's name counts as one token.  A citation follows the text that it is about, and is none.
    """
    prompt = completion.usage.model_copy(update={"output_tokens": 0, "thinking_tokens": 0})
    yield Started(id=completion.id, model=completion.model, usage=prompt)
    *thoughts, last_thought = pieces(completion.thinking) or [""]
    for piece in thoughts:
        yield ThinkingDelta(text=piece) if piece else None
    if last_thought or completion.signature:
        yield ThinkingDelta(text=last_thought, signature=completion.signature)
    yield from _split_text(completion)
    for index, call in enumerate(completion.tool_calls):
        yield ToolCallDelta(index=index, id=call.id, name=call.name)
        for piece in pieces(call.arguments):
            yield ToolCallDelta(index=index, arguments=piece) if piece else None
    yield Finished(
        stop_reason=completion.stop_reason,
        stop_sequence=completion.stop_sequence,
        usage=completion.usage,
    )


def _split_text(completion: Completion) -> Iterator[Event | None]:
    if completion.stop_reason == "refusal":
        yield from (RefusalDelta(text=piece) if piece else None for piece in pieces(completion.text))
        return
    for text, citations in completion.passages():
        cited = bool(citations)
        for piece in pieces(text):
            yield _text_delta(piece, cited) if piece else None
        yield from (CitationDelta(citation=citation) for citation in citations)


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Accumulator:
    """Puts the events of one stream together, in linear time.

    Tool calls are told apart by their index: most fragments carry nothing else.  They may be interleaved.
    """

    def __init__(self) -> None:
        self.finished: Finished | None = None
        self._started: Started | None = None
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._signature = ""
        self._citations: list[Citation] = []
        self._calls: defaultdict[int, _Call] = defaultdict(_Call)

    def add(self, event: Event) -> None:
        """Take in the next event."""
        if isinstance(event, TextDelta | RefusalDelta):
            self._text.append(event.text)
        elif isinstance(event, ToolCallDelta):
            call = self._calls[event.index]
            call.id = call.id or event.id or ""  # some servers send it late, or again and again
            call.name = call.name or event.name or ""
            call.arguments.append(event.arguments)
        elif isinstance(event, ThinkingDelta):
            self._thinking.append(event.text)
            self._signature = event.signature or self._signature
        elif isinstance(event, CitationDelta):
            self._citations.append(event.citation)
        elif isinstance(event, Started):
            self._started = event
        else:
            self.finished = event

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def completion(self) -> Completion:
        """The whole answer.

        Raises:
            ValueError: the stream has not begun or not finished; `text` holds what has come.
        """
        if self._started is None or self.finished is None:
            raise ValueError("the stream has not finished: there is no whole answer yet")
        calls = [call for _, call in sorted(self._calls.items())]
        return Completion(
            id=self._started.id,
            model=self._started.model,
            text=self.text,
            thinking="".join(self._thinking),
            signature=self._signature,
            citations=tuple(self._citations),
            tool_calls=tuple(ToolCall(id=c.id, name=c.name, arguments="".join(c.arguments)) for c in calls),
            stop_reason=self.finished.stop_reason,
            stop_sequence=self.finished.stop_sequence,
            usage=self.finished.usage,
        )

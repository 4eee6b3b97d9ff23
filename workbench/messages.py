"""What is said to a model and what it answers, independent of any provider.

Everything here is an immutable Pydantic model: a wrong role, a tool result without its call or a
negative token limit is refused where it is made, not three stages later by a provider's 400.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

__all__ = [
    "Citation",
    "Completion",
    "Document",
    "Message",
    "Reply",
    "Request",
    "ResponseFormat",
    "Role",
    "StopReason",
    "Tool",
    "ToolCall",
    "Usage",
]

Role = Literal["system", "user", "assistant", "tool"]
StopReason = Literal["stop", "length", "context_window", "tool_calls", "refusal", "pause"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ToolCall(_Frozen):
    """A model's wish to have a function called.

    `arguments` is the JSON text as the model wrote it: it may be invalid. For a tool of free text it is that.
    """

    id: str
    name: str
    arguments: str = ""


class Document(_Frozen):
    """A source that a message brings along; `citations` asks the model to say what it took from it."""

    text: str
    title: str | None = None
    citations: bool = False


class Citation(_Frozen):
    """The characters `start` to `end` of an answer's text rest on a document.

    Args:
        document: the document's index among all that the request brings along.
        source_start: where in its text `cited_text` begins, in characters.
    """

    start: int
    end: int
    document: int
    title: str | None = None
    cited_text: str
    source_start: int


class Message(_Frozen):
    """One turn of a conversation.

    `thinking` is what an assistant thought before it answered, with the provider's `signature` under it.
    """

    role: Role
    content: str = ""
    documents: tuple[Document, ...] = Field(default=(), strict=False)
    thinking: str = ""
    signature: str = ""
    tool_calls: tuple[ToolCall, ...] = Field(default=(), strict=False)
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"only an assistant calls tools, not the role {self.role!r}")
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise ValueError("a message has a tool_call_id exactly if its role is 'tool'")
        return self


class Tool(_Frozen):
    """A function that the model may call.

    `parameters` is the JSON schema of its arguments; one of `free_text` takes any text in their place.
    """

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str = ""
    parameters: dict[str, JsonValue] = {"type": "object"}
    free_text: bool = False

    @model_validator(mode="after")
    def _takes_an_object(self) -> Self:
        if self.parameters.get("type", "object") != "object":
            raise ValueError(f"a tool's parameters are of type 'object', not {self.parameters['type']!r}")
        return self


class ResponseFormat(_Frozen):
    """Ask for JSON: any object, or one that satisfies `json_schema`."""

    name: str = "answer"
    json_schema: dict[str, JsonValue] = {"type": "object"}


class Request(_Frozen):
    """One question to a model.

    Args:
        model: the provider's name of the model.
        messages: the conversation, oldest first; a plain string is one user message.
        tools: functions that the model may call.
        tool_choice: ``"auto"``, ``"none"``, ``"required"``, or the name of the tool to be called.
        parallel_tool_calls: whether the model may call several tools at once.
        response_format: ask for JSON that satisfies a schema.
        max_tokens: the answer's length limit, in tokens.
        stop: texts at which the answer ends, not included; a plain string is one of them.
        temperature: 0 to 2 (Anthropic: 0 to 1).
        thinking_tokens: what the model may think before it answers, at most; None: it does not.
    """

    model: str
    messages: tuple[Message, ...] = Field(min_length=1, strict=False)  # a list will do, too
    tools: tuple[Tool, ...] = Field(default=(), strict=False)
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    response_format: ResponseFormat | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] = Field(default=(), strict=False)
    temperature: float | None = Field(default=None, ge=0, le=2)
    thinking_tokens: int | None = Field(default=None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _prompt(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("messages"), str):
            data = {**data, "messages": (Message(role="user", content=data["messages"]),)}
        if isinstance(data, dict) and isinstance(data.get("stop"), str):
            data = {**data, "stop": (data["stop"],)}
        return data

    @model_validator(mode="after")
    def _choice_exists(self) -> Self:
        if self.tool_choice in ("auto", "none"):
            return self
        names = [tool.name for tool in self.tools]
        if self.tool_choice not in (names and ("required", *names)):
            raise ValueError(f"the tool_choice {self.tool_choice!r} names none of the tools {names!r}")
        return self

    @property
    def text(self) -> str:
        """All that the model reads, joined by blank lines: for counting and searching."""
        parts = [part for m in self.messages for part in (*[d.text for d in m.documents], m.content)]
        return "\n\n".join(filter(None, parts))


class Usage(_Frozen):
    """Tokens that a call was charged for.

    Args:
        input_tokens: of the prompt, those included that were read from a cache or written to it.
        output_tokens: of the answer, thinking included.
        cached_tokens: of `input_tokens`, those that were read from the provider's cache.
        cache_write_tokens: of `input_tokens`, those that were written to it.
        thinking_tokens: of `output_tokens`, those that were thought.
    """

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cached_tokens: int = Field(default=0, ge=0)
    cache_write_tokens: int = Field(default=0, ge=0)
    thinking_tokens: int = Field(default=0, ge=0)

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        mine, theirs = vars(self), vars(other)
        return Usage(**{name: mine[name] + theirs[name] for name in mine})


class Reply(_Frozen):
    """What a scripted model says: a text, tool calls, or both, and why it stops."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = Field(default=(), strict=False)
    thinking: str = ""
    stop_reason: StopReason | None = None


class Completion(_Frozen):
    """A model's whole answer.

    Args:
        text: what it says; with the stop reason "refusal", why it does not answer.
        thinking: what it thought before; empty where the provider does not show it.
        signature: the provider's own, under the thinking; it belongs to it when the conversation goes on.
        citations: which parts of the text rest on which documents, in the text's order.
        stop_sequence: the text that ended it, where a provider tells.
    """

    id: str
    model: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    citations: tuple[Citation, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    stop_reason: StopReason = "stop"
    stop_sequence: str | None = None
    usage: Usage = Usage()

    def passages(self) -> Iterator[tuple[str, tuple[Citation, ...]]]:
        """The text, cut where citations begin and end: each part with the citations that are about it."""
        said = 0
        for (start, end), citations in groupby(self.citations, key=lambda c: (c.start, c.end)):
            if start > said:
                yield self.text[said:start], ()
            yield self.text[start:end], tuple(citations)
            said = end
        if said < len(self.text):
            yield self.text[said:], ()

    def to_message(self) -> Message:
        """The answer as a turn of the conversation that goes on."""
        return Message(
            role="assistant",
            content=self.text,
            thinking=self.thinking,
            signature=self.signature,
            tool_calls=self.tool_calls,
        )

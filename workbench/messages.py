"""What is said to a model and what it answers, independent of any provider.

Everything here is an immutable Pydantic model: a wrong role, a tool result without its call or a
negative token limit is refused where it is made, not three stages later by a provider's 400.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

__all__ = [
    "Completion",
    "Message",
    "Request",
    "ResponseFormat",
    "Role",
    "StopReason",
    "Tool",
    "ToolCall",
    "Usage",
]

Role = Literal["system", "user", "assistant", "tool"]
StopReason = Literal["stop", "length", "tool_calls", "refusal"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ToolCall(_Frozen):
    """A model's wish to have a function called.

    `arguments` is the JSON text as the model wrote it: it may be invalid.
    """

    id: str
    name: str
    arguments: str = ""


class Message(_Frozen):
    """One turn of a conversation."""

    role: Role
    content: str = ""
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
    """A function that the model may call; `parameters` is the JSON schema of its arguments."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str = ""
    parameters: dict[str, JsonValue] = {"type": "object"}

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
        names = [tool.name for tool in self.tools]
        if self.tool_choice not in ("auto", "none", *(names and ("required", *names))):
            raise ValueError(f"the tool_choice {self.tool_choice!r} names none of the tools {names!r}")
        return self

    @property
    def text(self) -> str:
        """All that the model reads, joined by blank lines: for counting and searching."""
        return "\n\n".join(message.content for message in self.messages if message.content)


class Usage(_Frozen):
    """Tokens that a call was charged for."""

    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )


class Completion(_Frozen):
    """A model's whole answer; `stop_sequence` is the text that ended it, where a provider tells."""

    id: str
    model: str
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stop_reason: StopReason = "stop"
    stop_sequence: str | None = None
    usage: Usage = Usage()

    def to_message(self) -> Message:
        """The answer as a turn of the conversation that goes on."""
        return Message(role="assistant", content=self.text, tool_calls=self.tool_calls)

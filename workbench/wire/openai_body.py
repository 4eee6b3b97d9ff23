"""OpenAI's chat completions: the shape of a request's JSON.

Wire format: the OpenAI API reference, "Chat".  What changes nothing in a simulated answer is let through.
"""

from __future__ import annotations

from collections.abc import Container
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, ValidationError

from workbench.messages import Tool
from workbench.wire.dialect import WireError, WireModel, first_error

__all__ = [
    "AllowedTools",
    "Body",
    "ChatMessage",
    "Metadata",
    "Named",
    "StreamOptions",
    "WireFormat",
    "refusal",
]

Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=16),
]
"""What a user may note on an object."""


class _TextPart(WireModel):
    type: Literal["text"]
    text: str


class _OtherPart(WireModel):
    type: Literal["image_url", "input_audio", "file", "refusal"]


_Part = _TextPart | _OtherPart


class _Function(WireModel):
    name: str
    arguments: str


class _FunctionCall(WireModel):
    id: str
    type: Literal["function"]
    called: _Function = Field(alias="function")


class _Custom(WireModel):
    name: str
    arguments: str = Field(alias="input")


class _CustomCall(WireModel):
    id: str
    type: Literal["custom"]
    called: _Custom = Field(alias="custom")


class ChatMessage(WireModel):
    """A turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[_FunctionCall | _CustomCall] | None = None
    tool_call_id: str | None = None
    function_call: _Function | None = None  # as before there were tools


class _FunctionTool(WireModel):
    name: str
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None

    def decode(self) -> Tool:
        parameters = self.parameters or {"type": "object"}
        return Tool(name=self.name, description=self.description or "", parameters=parameters)


class _CustomTool(WireModel):
    name: str
    description: str | None = None

    def decode(self) -> Tool:
        return Tool(name=self.name, description=self.description or "", free_text=True)


class _Functions(WireModel):
    type: Literal["function"]
    tool: _FunctionTool = Field(alias="function")


class _Customs(WireModel):
    type: Literal["custom"]
    tool: _CustomTool = Field(alias="custom")


class Named(WireModel):
    """A reference to a tool or function."""

    name: str


class _NamedFunction(WireModel):
    type: Literal["function"]
    tool: Named = Field(alias="function")


class _NamedCustom(WireModel):
    type: Literal["custom"]
    tool: Named = Field(alias="custom")


class _Allowed(WireModel):
    mode: Literal["auto", "required"]
    tools: list[_NamedFunction | _NamedCustom]


class AllowedTools(WireModel):
    """A choice among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: _Allowed


class _JsonSchema(WireModel):
    name: str
    json_schema: dict[str, JsonValue] = Field(alias="schema")


class WireFormat(WireModel):
    """The format in which the model is to answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class StreamOptions(WireModel):
    """What a stream has besides the answer."""

    include_usage: bool = False
    include_obfuscation: bool = True


class Body(WireModel):
    """The whole request."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    function_call: Literal["none", "auto"] | Named | None = None
    functions: list[_FunctionTool] | None = None
    logprobs: bool | None = None
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    metadata: Metadata | None = None
    modalities: list[Literal["text"]] | None = None  # the models here do not speak
    n: int | None = Field(None, ge=1, le=128)
    parallel_tool_calls: bool | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: WireFormat | None = None
    stop: str | list[str] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    tool_choice: Literal["none", "auto", "required"] | _NamedFunction | _NamedCustom | AllowedTools | None = (
        None
    )
    tools: list[_Functions | _Customs] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)


def _place(loc: tuple[int | str, ...], tags: Container[str]) -> str:
    """A place in the request as OpenAI writes it, ``messages[0].role``: without the branches of unions."""
    place = ""
    for before, part in pairwise((None, *loc)):
        if isinstance(part, int):
            place += f"[{part}]"
        elif part is not None and part.isidentifier() and part != "str" and part[0].islower():
            place += "" if isinstance(before, int) and part in tags else f".{part}"
    return place.lstrip(".")


def refusal(error: ValidationError, tags: Container[str] = ()) -> WireError:
    """What OpenAI says of a request that is not as it should be.

    Args:
        error: what is wrong with it.
        tags: the types by which its lists tell their elements apart.
    """
    kind, loc, message = first_error(error)
    param = _place(loc, tags)
    if kind == "missing":
        text, code = f"Missing required parameter: '{param}'.", "missing_required_parameter"
    elif kind.endswith("_type"):
        text, code = f"Invalid type for '{param}': {message[:1].lower()}{message[1:]}.", "invalid_type"
    else:
        text, code = f"Invalid value for '{param}': {message[:1].lower()}{message[1:]}.", "invalid_value"
    return WireError("invalid_request", text, param=param or None, code=code)

"""OpenAI's Responses API: the shape of a request's JSON.

Wire format: the OpenAI API reference, "Responses".  What changes nothing in an answer here is let through.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, JsonValue

from workbench.messages import Tool
from workbench.wire.dialect import WireModel
from workbench.wire.openai_body import Metadata
from workbench.wire.responses_items import TAGS as ITEM_TAGS
from workbench.wire.responses_items import Item

__all__ = ["TAGS", "Body", "CompactBody", "OwnTool", "TextFormat"]


class OwnTool(WireModel):
    """A tool that the client runs."""

    type: Literal["function", "custom"]
    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None

    def decode(self) -> Tool:
        """The tool in our words."""
        return Tool(
            name=self.name,
            description=self.description or "",
            parameters=self.parameters or {"type": "object"},
            free_text=self.type == "custom",
        )


class _OtherTool(WireModel):
    """A tool of the provider's own: it is let through, and never called."""

    type: Literal[
        "apply_patch",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "file_search",
        "image_generation",
        "local_shell",
        "mcp",
        "namespace",
        "programmatic_tool_calling",
        "shell",
        "tool_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    ]


class _NamedTool(WireModel):
    type: str
    name: str | None = None


class _Choice(WireModel):
    type: str
    name: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: tuple[_NamedTool, ...] = Field((), strict=False)


class TextFormat(WireModel):
    """What the text has to be."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    json_schema: dict[str, JsonValue] | None = Field(None, alias="schema")


class _Text(WireModel):
    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


_Summary = Literal["auto", "concise", "detailed"]


class _Reasoning(WireModel):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: _Summary | None = None
    generate_summary: _Summary | None = None  # its former name

    @property
    def shown(self) -> bool:
        """Whether a summary is asked for."""
        return bool(self.summary or self.generate_summary)


class _Reference(WireModel):
    id: str


class Body(WireModel):
    """Of ``POST /responses``."""

    model: str
    input: str | list[Item] | None = None
    background: bool | None = None
    conversation: str | _Reference | None = None
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: int | None = Field(None, ge=16)
    max_tool_calls: int | None = None
    metadata: Metadata | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt: _Reference | None = None
    prompt_cache_key: str | None = None
    reasoning: _Reasoning | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    text: _Text | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    tools: list[Annotated[OwnTool | _OtherTool, Field(discriminator="type")]] | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    top_p: float | None = Field(None, ge=0, le=1)
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None


class CompactBody(WireModel):
    """Of ``POST /responses/compact``."""

    model: str
    input: str | list[Item] | None = None
    instructions: str | None = None


TAGS = ITEM_TAGS | {"function", "custom", *get_args(_OtherTool.model_fields["type"].annotation)}
"""The types by which items, their parts and tools are told apart."""

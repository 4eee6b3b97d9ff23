"""Anthropic's messages: a request as it stands on the wire.

Wire format: the Claude API reference, "Messages"; checked by the SDK's own types.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, JsonValue, Tag

from workbench.wire.anthropic_blocks import Block, CacheControl, Part, TextBlock, blocks_of
from workbench.wire.dialect import WireModel, compact

__all__ = ["Body", "Prompt", "Tool", "WireMessage"]


class WireMessage(WireModel):
    """One message."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Annotated[Block, Field(discriminator="type")]]

    @cached_property
    def blocks(self) -> list[Block]:
        """The content as blocks."""
        return blocks_of(self.content)


class Tool(Part):
    """A tool of the client's."""

    type: Literal["custom"] | None = None
    name: str
    description: str | None = None
    input_schema: dict[str, JsonValue]

    @property
    def read(self) -> str:
        """How it is described to the model."""
        return compact([self.name, self.description, self.input_schema])


class _ServerTool(Part):
    """A tool that Anthropic defines; the simulated models never call it."""

    type: str = Field(pattern="_2[0-9]{7}$")
    name: str | None = None


def _kind(tool: Any) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return "custom" if kind in (None, "custom") else "server"


_AnyTool = Annotated[
    Annotated[Tool, Tag("custom")] | Annotated[_ServerTool, Tag("server")], Discriminator(_kind)
]


class _ToolChoice(WireModel):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Format(WireModel):
    type: Literal["json_schema"]
    json_schema: dict[str, JsonValue] = Field(alias="schema")


class _OutputConfig(WireModel):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: _Format | None = None


class _Enabled(WireModel):
    type: Literal["enabled"]
    budget_tokens: int = Field(ge=1024)
    display: Literal["summarized", "omitted"] | None = None


class _Adaptive(WireModel):
    type: Literal["adaptive"]
    display: Literal["summarized", "omitted"] | None = None


class _NoThinking(WireModel):
    type: Literal["disabled", "between_tools"]


class Prompt(WireModel):
    """What is put to a model: all of a request whose tokens can be counted."""

    model: str
    messages: list[WireMessage] = Field(min_length=1)
    cache_control: CacheControl | None = None
    output_config: _OutputConfig | None = None
    speed: Literal["standard", "fast"] | None = None
    system: str | list[TextBlock] | None = None
    thinking: Annotated[_Enabled | _Adaptive | _NoThinking, Field(discriminator="type")] | None = None
    tool_choice: _ToolChoice | None = None
    tools: list[_AnyTool] | None = None


class Body(Prompt):
    """The body of ``POST /v1/messages``."""

    max_tokens: int = Field(ge=1)
    inference_geo: str | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: float | None = Field(None, ge=0, le=1)

"""Anthropic's messages: the content blocks of a request as they stand on the wire.

Wire format: the Claude API reference, "Messages"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from workbench.wire.dialect import WireModel, compact, text_of

__all__ = [
    "Block",
    "CacheControl",
    "DocumentBlock",
    "Part",
    "RedactedThinkingBlock",
    "TextBlock",
    "ThinkingBlock",
    "ToolResultBlock",
    "ToolUseBlock",
    "blocks_of",
]


class CacheControl(WireModel):
    """A breakpoint of the prompt cache."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Part(WireModel):
    """Part of a prompt; `read` is what of it the model reads, as a text."""

    cache_control: CacheControl | None = None

    @property
    def read(self) -> str:
        """Its text; none, if it is not said otherwise."""
        return ""


class TextBlock(Part):
    """Text."""

    type: Literal["text"]
    text: str

    @property
    def read(self) -> str:
        """The text."""
        return self.text


class _OtherBlock(Part):
    """What the simulated models let pass unread."""

    type: Literal[
        "image",
        "container_upload",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "tool_reference",
        "browser_state",
    ]


class _TextSource(WireModel):
    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str

    @property
    def parts(self) -> list[str]:
        return [self.data]


class _ContentSource(WireModel):
    type: Literal["content"]
    content: str | list[Annotated[TextBlock | _OtherBlock, Field(discriminator="type")]]

    @property
    def parts(self) -> list[str]:
        if isinstance(self.content, str):
            return [self.content]
        return [text_of([block]) for block in self.content]


class _OtherSource(WireModel):
    type: Literal["base64", "url", "file"]

    @property
    def parts(self) -> list[str]:
        return []


class _Citations(WireModel):
    enabled: bool = False


class DocumentBlock(Part):
    """A document."""

    type: Literal["document"]
    source: Annotated[_TextSource | _ContentSource | _OtherSource, Field(discriminator="type")]
    title: str | None = None
    citations: _Citations | None = None

    @property
    def is_cited(self) -> bool:
        """Whether answers are to cite it."""
        return self.citations is not None and self.citations.enabled

    @property
    def read(self) -> str:
        """Its text; a PDF has none here."""
        return "\n".join(self.source.parts)


class _SearchResultBlock(Part):
    type: Literal["search_result"]
    title: str
    source: str
    content: list[TextBlock]

    @property
    def text(self) -> str:
        return text_of(self.content)

    @property
    def read(self) -> str:
        return self.text


class ThinkingBlock(Part):
    """What the assistant thought."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinkingBlock(Part):
    """What it thought, hidden."""

    type: Literal["redacted_thinking"]
    data: str


class ToolUseBlock(Part):
    """The assistant calls a tool."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, JsonValue]

    @property
    def read(self) -> str:
        """The arguments as JSON."""
        return compact(self.input)


_ResultBlock = TextBlock | DocumentBlock | _SearchResultBlock | _OtherBlock


class ToolResultBlock(Part):
    """What the tool gave back."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[Annotated[_ResultBlock, Field(discriminator="type")]] | None = None
    is_error: bool = False

    @property
    def documents(self) -> Iterator[DocumentBlock]:
        """The documents in it."""
        return (block for block in self.content or () if isinstance(block, DocumentBlock))

    @property
    def read(self) -> str:
        """The texts in it."""
        if isinstance(self.content, list):
            return "\n".join(block.read for block in self.content)
        return self.content or ""


Block = (
    TextBlock
    | DocumentBlock
    | _SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | _OtherBlock
)


def blocks_of(content: str | Sequence[Block]) -> list[Block]:
    """A message's content as blocks; a text is short for one block of it."""
    return [TextBlock(type="text", text=content)] if isinstance(content, str) else list(content)

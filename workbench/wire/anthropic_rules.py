"""What Anthropic's API refuses though its form is right: calls without results, thoughts that were changed.

The words are the API's own, as users have met them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby, pairwise

from workbench.wire.anthropic_blocks import (
    Block,
    DocumentBlock,
    RedactedThinkingBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from workbench.wire.anthropic_body import Body, Prompt, WireMessage
from workbench.wire.dialect import WireError
from workbench.wire.signature import is_signed

__all__ = ["check"]

_SEE = (
    "Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
)

_Placed = tuple[int, int, Block]  # with the indices of message and block
_Turn = Sequence[_Placed]


def check(wire: Prompt) -> None:
    """Refuse what the API would.

    Raises:
        WireError: in the API's words.
    """
    if wire.messages[0].role == "system":
        raise _wrong("messages.0.role", "a system message must follow a user message")
    turns = list(_turns(wire.messages))
    for turn, following in pairwise([(), *turns, ()]):
        _check_calls(turn, following)
    for placed in chain.from_iterable(turns):
        _check_signature(*placed)
    if wire.thinking is not None and wire.thinking.type == "enabled":
        _check_loop(turns)
        if isinstance(wire, Body):
            _check_thinking(wire, wire.thinking.budget_tokens)
    _check_tools(wire)
    _check_documents(wire)


def _turns(messages: Sequence[WireMessage]) -> Iterator[_Turn]:
    """Messages of one role in a row are one turn; what the system says between them is in none."""
    spoken = [(index, message) for index, message in enumerate(messages) if message.role != "system"]
    for _, group in groupby(spoken, key=lambda placed: placed[1].role):
        yield [(i, j, block) for i, message in group for j, block in enumerate(message.blocks)]


def _check_calls(turn: _Turn, following: _Turn) -> None:
    """Each call has its result in the next turn, and each result its call in the one before."""
    calls = {block.id: i for i, _, block in turn if isinstance(block, ToolUseBlock)}
    results: set[str] = set()
    for i, j, block in following:
        if not isinstance(block, ToolResultBlock):
            continue
        identity = block.tool_use_id
        if identity not in calls:
            raise _wrong(
                f"messages.{i}.content.{j}",
                f"unexpected `tool_use_id` found in `tool_result` blocks: {identity}. Each `tool_result` "
                "block must have a corresponding `tool_use` block in the previous message.",
            )
        if identity in results:
            raise _wrong(
                f"messages.{i}.content.{j}",
                "each tool_use must have a single result. "
                f"Found multiple `tool_result` blocks with id: {identity}",
            )
        results.add(identity)
    if missing := [identity for identity in calls if identity not in results]:
        raise _wrong(
            f"messages.{calls[missing[0]]}",
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}"
            ". Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        )
    if len(calls) < sum(isinstance(block, ToolUseBlock) for _, _, block in turn):
        raise _wrong(f"messages.{turn[0][0]}", "`tool_use` ids must be unique")


def _check_signature(i: int, j: int, block: Block) -> None:
    if isinstance(block, ThinkingBlock) and not is_signed(block.thinking, block.signature):
        raise _wrong(f"messages.{i}.content.{j}", "Invalid `signature` in `thinking` block")


def _check_loop(turns: Sequence[_Turn]) -> None:
    """Who has begun to think goes on from there when the tools' results are in."""
    if not any(isinstance(block, ToolResultBlock) for _, _, block in turns[-1]):
        return
    i, j, block = turns[-2][0]
    if not isinstance(block, ThinkingBlock | RedactedThinkingBlock):
        raise _wrong(
            f"messages.{i}.content.{j}.type",
            f"Expected `thinking` or `redacted_thinking`, but found `{block.type}`. When `thinking` is "
            "enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost "
            "set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from "
            f"previous turns. To avoid this requirement, disable `thinking`. {_SEE}",
        )


def _check_thinking(wire: Body, budget: int) -> None:
    if wire.max_tokens <= budget:
        raise _wrong("", f"`max_tokens` must be greater than `thinking.budget_tokens`. {_SEE}")
    if wire.temperature not in (None, 1):
        raise _wrong("", f"`temperature` may only be set to 1 when thinking is enabled. {_SEE}")
    if wire.tool_choice is not None and wire.tool_choice.type in ("any", "tool"):
        raise _wrong("", "Thinking may not be enabled when tool_choice forces tool use.")


def _check_tools(wire: Prompt) -> None:
    names = [tool.name for tool in wire.tools or () if tool.name is not None]
    if len(names) > len(set(names)):
        raise _wrong("tools", "Tool names must be unique.")


def _check_documents(wire: Prompt) -> None:
    blocks = [block for message in wire.messages for block in message.blocks]
    documents = [block for block in blocks if isinstance(block, DocumentBlock)]
    cited = [document for document in documents if document.is_cited]
    if cited and len(cited) < len(documents):
        raise _wrong("messages", "Citations must be enabled on all or none of the documents.")
    if cited and wire.output_config and wire.output_config.format:
        raise _wrong("output_config.format", "Citations cannot be combined with structured outputs.")


def _wrong(place: str, message: str) -> WireError:
    return WireError("invalid_request", f"{place}: {message}" if place else message, param=place or None)

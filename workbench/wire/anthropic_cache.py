"""Anthropic's prompt caching: where a request marks that its prompt is to be kept.

A breakpoint stands behind a block: of the tools, of the system prompt, of the messages, in this order.  The
API keeps a prompt up to each breakpoint, and looks for one that it kept there or up to 20 blocks before.
(Claude docs, "Prompt caching".)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.tokens import count
from workbench.wire.anthropic_blocks import Part, ToolResultBlock, blocks_of
from workbench.wire.anthropic_body import Prompt
from workbench.wire.dialect import MESSAGE_TOKENS, Prefix, WireError, canonical

__all__ = ["LONG", "find_prefixes"]

LONG = 3600.0  # seconds
_TTL = {"5m": 300.0, "1h": LONG}
_LOOKBACK = 20
_BREAKPOINTS = 4


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block where it stands; `raw` is what tells it apart, `head` what the format adds to it in tokens."""

    place: str
    block: Part
    raw: Any
    head: int = 0

    @property
    def ttl(self) -> float:
        """For how long its breakpoint keeps what stands before; 0: it has none."""
        marks = [self.block.cache_control]
        if isinstance(self.block, ToolResultBlock) and isinstance(self.block.content, list):
            marks += [inner.cache_control for inner in self.block.content]
        return max((_TTL[mark.ttl] for mark in marks if mark is not None), default=0)


def find_prefixes(wire: Prompt, body: Mapping[str, Any]) -> tuple[Prefix, ...]:
    """The prefixes of a prompt at which a cache may take it up; none without a breakpoint.

    Args:
        wire: the request.
        body: the same as it came, with all that a cache has to tell apart.

    Raises:
        WireError: there are too many breakpoints, or a long-lived one comes behind a short-lived one.
    """
    pieces = list(_pieces(wire, body))
    kept = {index: ttl for index, piece in enumerate(pieces) if (ttl := piece.ttl)}
    _check_order([pieces[index] for index in kept])
    if wire.cache_control is not None:
        kept.setdefault(len(pieces) - 1, _TTL[wire.cache_control.ttl])
    if len(kept) > _BREAKPOINTS:
        message = f"A maximum of {_BREAKPOINTS} blocks with cache_control may be provided. Found {len(kept)}."
        raise WireError("invalid_request", message)
    wanted = {seen for index in kept for seen in range(index - _LOOKBACK + 1, index + 1)}
    prefixes, digest, tokens = [], hashlib.blake2b(digest_size=16), 0
    for index, piece in enumerate(pieces if kept else ()):
        digest.update(canonical(_plain(piece.raw)).encode())
        tokens += piece.head + count(piece.block.read)
        if index in wanted:
            prefixes.append(Prefix(digest.hexdigest(), tokens, kept.get(index, 0)))
    return tuple(prefixes)


def _pieces(wire: Prompt, body: Mapping[str, Any]) -> Iterator[_Piece]:
    """All blocks in the order in which the model reads them."""
    for i, tool in enumerate(wire.tools or ()):
        yield _Piece(f"tools.{i}", tool, body["tools"][i])
    for i, block in enumerate(blocks_of(wire.system or ())):
        yield _Piece(f"system.{i}", block, _raw(body["system"], i), 0 if i else MESSAGE_TOKENS)
    # "Changes to tool_choice, to thinking … invalidate the messages' cache": they change how these are read.
    settings = {name: body.get(name) for name in ("tool_choice", "thinking", "output_config", "speed")}
    for i, message in enumerate(wire.messages):
        for j, part in enumerate(message.blocks):
            raw = _raw(body["messages"][i]["content"], j)
            place = f"messages.{i}.content.{j}"
            if j:
                yield _Piece(place, part, raw)
            else:
                yield _Piece(place, part, {"role": message.role, **settings, **raw}, MESSAGE_TOKENS)


def _raw(content: str | list[dict[str, Any]], index: int) -> dict[str, Any]:
    """A block as it came; a text is short for one block."""
    return {"type": "text", "text": content} if isinstance(content, str) else content[index]


def _plain(raw: Any) -> Any:
    """A block without its breakpoints, and without those of the blocks in it."""
    if isinstance(raw, list):
        return [_plain(item) for item in raw]
    if isinstance(raw, dict):
        return {key: _plain(value) for key, value in raw.items() if key != "cache_control"}
    return raw


def _check_order(breakpoints: list[_Piece]) -> None:
    shortest = LONG
    for piece in breakpoints:
        if piece.ttl > shortest:
            place = f"{piece.place}.cache_control.ttl"
            message = (
                f"{place}: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control "
                "block. Note that blocks are processed in the following order: `tools`, `system`, `messages`."
            )
            raise WireError("invalid_request", message, param=place)
        shortest = min(shortest, piece.ttl)

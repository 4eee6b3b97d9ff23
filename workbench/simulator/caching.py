"""Beginnings of prompts that a provider has read before, and need not read again.

What is written here can be read once its writer's prompt has been processed, so that of two requests which
come at once neither helps the other, and until it has not been used for its time to live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.simulator.exchange import Exchange
from workbench.wire.dialect import Prefix

__all__ = ["PromptCache"]


@dataclass(slots=True)
class _Entry:
    writer: Exchange
    until: float


class PromptCache:
    """What one model has kept of one key's prompts."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def read(self, prefixes: Sequence[Prefix], now: float) -> int:
        """How many tokens the longest of `prefixes` has that is there; they go from short to long."""
        for prefix in reversed(prefixes):
            entry = self._entries.get(prefix.digest)
            if entry is not None and now < entry.until and entry.writer.has_read(now):
                return prefix.tokens
        return 0

    def write(self, prefixes: Sequence[Prefix], writer: Exchange, now: float) -> None:
        """Keep `prefixes`; those that are there are kept for longer."""
        for prefix in prefixes:
            until = now + prefix.seconds
            entry = self._entries.get(prefix.digest)
            if entry is None or now >= entry.until or entry.writer.will_never_read():
                self._entries[prefix.digest] = _Entry(writer, until)
            else:
                entry.until = max(entry.until, until)

"""A provider's cache of prompts: what has been read once need not be read again.

It knows a prompt by its prefixes.  One that is kept is there from the moment at which its maker's answer
begins, and until it has not been used for as long as it is to be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.simulator.exchange import Exchange
from workbench.simulator.slots import SLACK
from workbench.wire.dialect import Prefix

__all__ = ["PromptCache"]


@dataclass(slots=True)
class _Entry:
    makers: list[Exchange]
    keep_seconds: float
    used_at: float

    def is_there(self, now: float) -> bool:
        return not self.is_forgotten(now) and any(maker.has_begun(now) for maker in self.makers)

    def is_forgotten(self, now: float) -> bool:
        return now > self.used_at + self.keep_seconds + SLACK


class PromptCache:
    """The prompts that one key has sent to one model.

    Args:
        minimum_tokens: a shorter prefix is not worth to be kept.
    """

    def __init__(self, minimum_tokens: int) -> None:
        self._minimum = minimum_tokens
        self._entries: dict[str, _Entry] = {}
        self._sweep_at = 256

    def find(self, prefixes: Sequence[Prefix], now: float) -> int:
        """How many tokens of a prompt with these prefixes are there already."""
        for prefix in reversed(prefixes):
            entry = self._entries.get(prefix.digest)
            if entry is not None and entry.is_there(now):
                return prefix.tokens
        return 0

    def keep(self, prefixes: Sequence[Prefix], now: float, maker: Exchange) -> int:
        """Keep those that are to be kept; those that are there are used, which keeps them longer.

        Args:
            prefixes: of the prompt.
            now: the instant of the request.
            maker: the request: once it has begun to answer, they are there.

        Returns:
            how many tokens the longest has that is kept.
        """
        if not prefixes:
            return 0
        for prefix in prefixes:
            entry = self._entries.get(prefix.digest)
            keep = prefix.keep_seconds if prefix.tokens >= self._minimum else 0
            if entry is not None and not entry.is_forgotten(now):
                entry.used_at = max(entry.used_at, now)
                entry.keep_seconds = max(entry.keep_seconds, keep)
                if keep and not entry.is_there(now):
                    entry.makers.append(maker)
            elif keep:
                self._entries[prefix.digest] = _Entry([maker], keep, now)
        self._sweep(now)
        return max((p.tokens for p in prefixes if p.keep_seconds and p.tokens >= self._minimum), default=0)

    def _sweep(self, now: float) -> None:
        if len(self._entries) > self._sweep_at:
            self._entries = {d: e for d, e in self._entries.items() if not e.is_forgotten(now)}
            self._sweep_at = 256 + 2 * len(self._entries)

"""What a provider holds a key against: rate limits, requests under way, and money."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from workbench.limits import TokenBucket
from workbench.simulator.exchange import Exchange
from workbench.simulator.models import ModelProfile, RateLimits
from workbench.wire.dialect import Excess, LimitState

__all__ = ["Account", "Accounts"]


class Account:
    """The rate limits of one key and one model, and what that key has under way there."""

    def __init__(self, model: ModelProfile, limits: RateLimits) -> None:
        self._model = model.name
        given = {
            "requests": limits.requests,
            "tokens": limits.tokens,
            "input-tokens": limits.input_tokens,
            "output-tokens": limits.output_tokens,
        }
        self._buckets = {n: TokenBucket.per_minute(v) for n, v in given.items() if v is not None}
        self._most = limits.concurrent
        self._under_way: list[Exchange] = []

    def charge(self, input_tokens: int, reserved: Callable[[], int], now: float) -> Excess | None:
        """Take what a request costs from all limits, or nothing from any.

        Args:
            input_tokens: of the prompt.
            reserved: tokens that the answer may have.
            now: the instant of arrival.

        Returns:
            the limit that stands against it, if any does.
        """
        if (excess := self._too_many(now)) is not None or not self._buckets:
            return excess
        output_tokens = reserved()
        cost = {
            "requests": 1,
            "tokens": input_tokens + output_tokens,
            "input-tokens": input_tokens,
            "output-tokens": output_tokens,
        }
        waits = {name: bucket.wait(cost[name], now) for name, bucket in self._buckets.items()}
        worst = max(waits, key=waits.__getitem__)
        if waits[worst]:
            (limit,) = (state for state in self.states(now) if state.name == worst)
            return Excess(limit, self._model, cost[worst], waits[worst])
        for name, bucket in self._buckets.items():
            bucket.take(cost[name], now)
        return None

    def _too_many(self, now: float) -> Excess | None:
        if self._most is None:
            return None
        self._under_way = [exchange for exchange in self._under_way if exchange.under_way(now)]
        if (left := self._most - len(self._under_way)) > 0:
            return None
        return Excess(LimitState("concurrent", self._most, left, math.nan), self._model, 1, None)

    def enter(self, exchange: Exchange) -> None:
        """A request that was not refused is under way now."""
        if self._most is not None:
            self._under_way.append(exchange)

    def settle(self, reserved: Callable[[], int], output_tokens: int, now: float) -> None:
        """Correct a limit on the output alone once it is known; one on `tokens` keeps the estimate."""
        if bucket := self._buckets.get("output-tokens"):
            bucket.take(output_tokens - reserved(), now)

    def states(self, now: float) -> list[LimitState]:
        """All limits a minute at this instant."""
        return [
            LimitState(name, bucket.capacity, bucket.level(now), bucket.full_in(now))
            for name, bucket in self._buckets.items()
        ]


class Accounts:
    """The accounts of all keys.

    Args:
        limits: of single keys, in place of each model's own.
        budget: dollars that each key may spend; None: there is no end to them.
    """

    def __init__(self, limits: Mapping[str, RateLimits], budget: float | None) -> None:
        self._limits, self._budget = limits, budget
        self._spent: dict[tuple[str, str], float] = {}
        self._accounts: dict[tuple[str, str, str], Account] = {}

    def of(self, key: str, model: ModelProfile) -> Account:
        """The account of `key` with `model`."""
        identity = (model.provider, key, model.name)
        if identity not in self._accounts:
            self._accounts[identity] = Account(model, self._limits.get(key, model.limits))
        return self._accounts[identity]

    def is_spent(self, provider: str, key: str) -> bool:
        """Whether the key's money is used up."""
        return self._budget is not None and self._spent.get((provider, key), 0.0) >= self._budget

    def bill(self, provider: str, key: str, dollars: float) -> None:
        """Take what a request costs from the key's money, which its last request may overdraw."""
        self._spent[provider, key] = self._spent.get((provider, key), 0.0) + dollars

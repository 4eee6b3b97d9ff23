"""The rate limits that a provider holds one key against, and how it refuses a request."""

from __future__ import annotations

import math

from workbench.limits import TokenBucket
from workbench.simulator.models import RateLimits
from workbench.wire.dialect import LimitState, WireError

__all__ = ["Account", "TooFast"]


class TooFast(WireError):
    """A request that a rate limit stands against; `wait_seconds` is infinite if no waiting helps."""

    def __init__(self, name: str, bucket: TokenBucket, cost: float, wait_seconds: float, now: float) -> None:
        used = bucket.capacity - bucket.level(now)
        patient = math.isfinite(wait_seconds)
        hint = f"Please try again in {wait_seconds:.3g}s." if patient else "The request must be made smaller."
        super().__init__(
            "rate_limit",
            f"Rate limit reached on {name.replace('-', ' ')} per min: "
            f"Limit {bucket.capacity:.0f}, Used {used:.0f}, Requested {cost:.0f}. {hint}",
            param=name,
        )
        self.wait_seconds = wait_seconds


class Account:
    """The rate limits of one key and one model."""

    def __init__(self, limits: RateLimits) -> None:
        given = {
            "requests": limits.requests,
            "tokens": limits.tokens,
            "input-tokens": limits.input_tokens,
            "output-tokens": limits.output_tokens,
        }
        self._buckets = {n: TokenBucket.per_minute(v) for n, v in given.items() if v is not None}

    def charge(self, input_tokens: int, output_tokens: int, now: float) -> None:
        """Take what a request costs from all limits, or nothing from any.

        Args:
            input_tokens: of the prompt.
            output_tokens: that the answer may have.
            now: the instant of arrival.

        Raises:
            TooFast: one of them does not allow it at this instant.
        """
        if not self._buckets:
            return
        cost = {
            "requests": 1,
            "tokens": input_tokens + output_tokens,
            "input-tokens": input_tokens,
            "output-tokens": output_tokens,
        }
        waits = {name: bucket.wait(cost[name], now) for name, bucket in self._buckets.items()}
        worst = max(waits, key=waits.__getitem__)
        if waits[worst]:
            raise TooFast(worst, self._buckets[worst], cost[worst], waits[worst], now)
        for name, bucket in self._buckets.items():
            bucket.take(cost[name], now)

    def settle(self, estimated_tokens: int, output_tokens: int, now: float) -> None:
        """Correct a limit on the output alone once it is known; one on `tokens` keeps the estimate."""
        if bucket := self._buckets.get("output-tokens"):
            bucket.take(output_tokens - estimated_tokens, now)

    def states(self, now: float) -> list[LimitState]:
        """All limits at this instant."""
        return [
            LimitState(name, bucket.capacity, bucket.level(now), bucket.full_in(now))
            for name, bucket in self._buckets.items()
        ]

"""A retry budget: how many retries many calls may make together.

It is an account of tokens.  Requests and successes pay in, retries and failures cost, and a call may retry
only while there is enough: then retries stay a fixed share of the load, however many calls fail, where a
limit for each call would multiply it.
"""

from __future__ import annotations

import math
import threading

from workbench.errors import ConfigurationError
from workbench.resilience.window import TimeWindow

__all__ = ["RetryBudget"]


class RetryBudget:
    """Tokens that calls share for their retries; full at first.  Safe to use from several threads.

    The default lets retries add a tenth to the load, after a reserve of 10.

    Args:
        capacity: tokens that it holds at most.
        per_request: paid in at each call's begin.
        per_success: paid in when a call succeeds.
        per_failure: taken at each failed attempt, whether it is retried or not.
        per_retry: what a retry costs.
        per_timeout: what a retry after a timeout costs; None: as any other.
        refund: whether a call that succeeds at a retry gets that retry's cost back (and no `per_success`).
        floor: retries are made only while there are more tokens than this.
        ttl: seconds after which what was paid in or taken is forgotten; None: never.  With it, `capacity` is
            a reserve that is always there.

    Raises:
        ConfigurationError: one of them is negative.
    """

    def __init__(
        self,
        capacity: float = 10.0,
        *,
        per_request: float = 0.1,
        per_success: float = 0.0,
        per_failure: float = 0.0,
        per_retry: float = 1.0,
        per_timeout: float | None = None,
        refund: bool = False,
        floor: float = 0.0,
        ttl: float | None = None,
    ) -> None:
        amounts = (capacity, per_request, per_success, per_failure, per_retry, per_timeout or 0.0, floor)
        if not all(amount >= 0 and math.isfinite(amount) for amount in amounts):
            raise ConfigurationError(f"a retry budget's amounts are numbers of at least 0, got {amounts!r}")
        if ttl is not None and not ttl > 0:
            raise ConfigurationError(f"ttl is a positive number of seconds, got {ttl!r}")
        self.capacity, self.floor, self.refund = capacity, floor, refund
        self.per_request, self.per_success, self.per_failure = per_request, per_success, per_failure
        self.per_retry = per_retry
        self.per_timeout = per_retry if per_timeout is None else per_timeout
        self._tokens = capacity
        self._window = None if ttl is None else TimeWindow(ttl, 1)
        self._lock = threading.Lock()

    @classmethod
    def grpc(cls, max_tokens: float = 10.0, token_ratio: float = 0.1) -> RetryBudget:
        """gRPC's retry throttling (proposal A6): no retries at half of the tokens or below.

        Args:
            max_tokens: held at most.
            token_ratio: paid in by a success, where a failure costs 1.
        """
        half = max_tokens / 2
        return cls(max_tokens, per_request=0, per_success=token_ratio, per_failure=1, per_retry=0, floor=half)

    @classmethod
    def aws(cls) -> RetryBudget:
        """The retry quota of the AWS SDKs' standard mode: 100 retries that nothing pays back."""
        return cls(500, per_request=0, per_success=1, per_retry=5, per_timeout=10, refund=True)

    @classmethod
    def finagle(cls, ratio: float = 0.2, *, per_second: float = 10.0, ttl: float = 10.0) -> RetryBudget:
        """Finagle's: a share of the requests of the last `ttl` seconds, and some retries come what may.

        Args:
            ratio: retries for each request.
            per_second: retries that are always allowed.
            ttl: seconds after which a request counts no longer.
        """
        return cls(per_second * ttl / ratio, per_request=1, per_retry=1 / ratio, ttl=ttl)

    def tokens(self, now: float) -> float:
        """What is in it."""
        return self._tokens if self._window is None else self.capacity + self._window.sums(now)[0]

    def request(self, now: float) -> None:
        """A call begins."""
        if self.per_request:
            self._add(self.per_request, now)

    def success(self, now: float, spent: float = 0.0) -> None:
        """A call has succeeded; its last retry, if there was one, has cost `spent`."""
        if amount := spent if self.refund and spent else self.per_success:
            self._add(amount, now)

    def failure(self, now: float) -> None:
        """An attempt has failed in a way that a retry may help."""
        if self.per_failure:
            self._add(-self.per_failure, now)

    def try_retry(self, now: float, *, timeout: bool = False) -> float | None:
        """Pay for a retry; returns what it has cost, or None where it must not be made."""
        cost = self.per_timeout if timeout else self.per_retry
        with self._lock:
            tokens = self.tokens(now)
            if tokens < cost or tokens <= self.floor:
                return None
            self._change(-cost, now)
        return cost

    def _add(self, amount: float, now: float) -> None:
        with self._lock:
            self._change(amount, now)

    def _change(self, amount: float, now: float) -> None:
        if self._window is None:
            self._tokens = min(self.capacity, max(0.0, self._tokens + amount))
        else:
            self._window.add(now, amount)

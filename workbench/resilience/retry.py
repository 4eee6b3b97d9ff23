"""Whether a failed attempt is made again, and after how many seconds.

:class:`RetryPolicy` is the rule, shared by all calls; :meth:`RetryPolicy.begin` gives the state of one call,
whose :meth:`Retries.after` decides after each failed attempt.  A wait that cannot help is never begun: one
that would end past the time that is left, or one shorter than the provider has asked for.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from workbench.errors import ConfigurationError, ProviderTimeoutError
from workbench.resilience.backoff import Backoff
from workbench.resilience.budget import RetryBudget

__all__ = ["Decision", "Retries", "RetryPolicy", "is_retryable"]

Reason = Literal[
    "backoff", "retry-after", "not retryable", "attempts", "time", "retry-after too long", "budget"
]


class Decision(NamedTuple):
    """What to do after a failed attempt: try again after `wait` seconds, or give up where that is None.

    `reason` says what set the wait ("backoff", "retry-after"), or why it is over ("not retryable",
    "attempts", "time", "retry-after too long", "budget").
    """

    wait: float | None
    reason: Reason


def is_retryable(error: BaseException) -> bool:
    """Whether the same call may succeed later: as the error itself says, or timeouts and lost connections."""
    verdict = getattr(error, "retryable", None)
    return isinstance(error, TimeoutError | ConnectionError) if verdict is None else bool(verdict)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to retry: bounded in number, in time, and in what all calls together may add to the load.

    Args:
        attempts: made at most, the first included; None: without a limit.
        backoff: seconds between them.
        max_elapsed: seconds from the call's begin after which no retry begins, or goes on; None: no limit.
            The first attempt is not cut short by it.
        budget: what this call shares with others.
        max_retry_after: a provider that asks to wait longer is not asked again.  A shorter request of its is
            the least that is waited.
        retry_on: which errors; by default what says of itself that it is `retryable`, and timeouts and lost
            connections.

    Raises:
        ConfigurationError: `attempts` is no whole number of at least 1, or a time is negative.
    """

    attempts: int | None = 3
    backoff: Backoff = field(default_factory=Backoff)
    max_elapsed: float | None = 30.0
    budget: RetryBudget | None = None
    max_retry_after: float = 120.0
    retry_on: Callable[[BaseException], bool] = is_retryable

    def __post_init__(self) -> None:
        if self.attempts is not None and not (self.attempts >= 1 and self.attempts % 1 == 0):
            message = f"attempts is a whole number of at least 1, the first included, got {self.attempts!r}"
            raise ConfigurationError(message)
        for name, value in (("max_elapsed", self.max_elapsed), ("max_retry_after", self.max_retry_after)):
            if value is not None and not value >= 0:
                raise ConfigurationError(f"{name} is a number of seconds, got {value!r}")

    def begin(self, now: float, deadline: float = math.inf) -> Retries:
        """The state of one call that begins now and is of no use after `deadline`."""
        return Retries(self, now, deadline)


class Retries:
    """One call's attempts; `attempt` is the number of the one that runs, from 1."""

    __slots__ = ("_paid", "_wait", "attempt", "deadline", "policy")

    def __init__(self, policy: RetryPolicy, now: float, deadline: float) -> None:
        self.policy = policy
        self.attempt = 1
        self.deadline = deadline if policy.max_elapsed is None else min(deadline, now + policy.max_elapsed)
        self._wait: float | None = None
        self._paid = 0.0
        if policy.budget is not None:
            policy.budget.request(now)

    def success(self, now: float) -> None:
        """The call has succeeded."""
        if self.policy.budget is not None:
            self.policy.budget.success(now, self._paid)

    def after(self, error: BaseException, now: float, rng: random.Random) -> Decision:
        """Decide what follows an attempt that ended with `error`; a retry becomes the current attempt."""
        policy = self.policy
        if not policy.retry_on(error):
            return Decision(None, "not retryable")
        if policy.budget is not None:
            policy.budget.failure(now)
        if policy.attempts is not None and self.attempt >= policy.attempts:
            return Decision(None, "attempts")
        asked = getattr(error, "retry_after", None) or 0.0
        if asked > policy.max_retry_after:
            return Decision(None, "retry-after too long")
        backoff = policy.backoff.wait(self.attempt, rng, self._wait)
        wait = max(backoff, asked)
        if now + wait >= self.deadline:
            return Decision(None, "time")
        if policy.budget is not None:
            timeout = isinstance(error, TimeoutError | ProviderTimeoutError)
            paid = policy.budget.try_retry(now, timeout=timeout)
            if paid is None:
                return Decision(None, "budget")
            self._paid = paid
        self.attempt += 1
        self._wait = backoff
        return Decision(wait, "retry-after" if asked > backoff else "backoff")

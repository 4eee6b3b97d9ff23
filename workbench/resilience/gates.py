"""Gates: what admits calls and is told what became of them, such as a breaker, a throttle, a limit.

Live calls and simulated ones pass them here, in the same order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Protocol

from workbench.errors import CallNotPermittedError

__all__ = ["Gate", "Permit", "Permits", "admit", "settle"]

Permit = tuple[int, float]  # a number that says something to the gate that gave it, and when


class Gate(Protocol):
    """Admits calls; each permit is given back by `record` or by `release`, once."""

    def acquire(self, now: float, rng: random.Random) -> Permit | None:
        """A permit for one call, or None: do not call."""

    def record(
        self, permit: Permit, now: float, error: BaseException | None = None, took: float | None = None
    ) -> None:
        """Say what a call came to; see :meth:`workbench.resilience.CircuitBreaker.record`."""

    def release(self, permit: Permit) -> None:
        """A call was given up."""

    def retry_after(self, now: float) -> float:
        """Seconds after which it may admit a call."""


Permits = list[tuple[Gate, Permit]]


def admit(gates: Iterable[Gate], now: float, rng: random.Random) -> Permits:
    """A permit of each gate for one call.

    Raises:
        CallNotPermittedError: a gate refuses; those before it have theirs back.
    """
    permits: Permits = []
    for gate in gates:
        permit = gate.acquire(now, rng)
        if permit is None:
            for before, given in permits:
                before.release(given)
            raise CallNotPermittedError(type(gate).__name__, retry_after=gate.retry_after(now))
        permits.append((gate, permit))
    return permits


def settle(permits: Permits, now: float, took: float, error: BaseException | None = None) -> None:
    """Say what a call came to.

    Args:
        permits: what it was admitted by.
        now: seconds.
        took: seconds until its answer.
        error: None: it succeeded; an exception that is no :class:`Exception`: it was given up.
    """
    for gate, permit in permits:
        if error is None or isinstance(error, Exception):
            gate.record(permit, now, error, took)
        else:
            gate.release(permit)

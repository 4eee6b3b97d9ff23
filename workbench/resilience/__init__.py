"""Policies for calls that fail: what to do next, decided by machines without a clock and without I/O.

Each takes `now` (seconds, on any clock) and `rng`, and answers with a decision; it neither waits nor sends.
So one object serves a live call (:mod:`workbench.calls`), virtual time and a simulation of many clients.
"""

from workbench.resilience.backoff import Backoff
from workbench.resilience.breaker import CircuitBreaker
from workbench.resilience.budget import RetryBudget
from workbench.resilience.concurrency import AIMDLimit, GradientLimit
from workbench.resilience.hedge import Hedge
from workbench.resilience.retry import RetryPolicy
from workbench.resilience.throttle import AdaptiveThrottle

__all__ = [
    "AIMDLimit",
    "AdaptiveThrottle",
    "Backoff",
    "CircuitBreaker",
    "GradientLimit",
    "Hedge",
    "RetryBudget",
    "RetryPolicy",
]

"""How long to wait before a retry.

One formula gives most strategies: a ceiling that grows, ``min(cap, base * factor ** (retry - 1))``, less a
random share of it.  `jitter` says how large that share is; the names are those of the AWS Architecture
Blog's "Exponential Backoff and Jitter".
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal

from workbench.errors import ConfigurationError

__all__ = ["Backoff"]

_SHARES = {"none": 0.0, "equal": 0.5, "full": 1.0}


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait before each retry of a call.

    ===================  ==============================================
    no wait              ``Backoff(0)``
    constant             ``Backoff(1.0, factor=1, jitter="none")``
    exponential          ``Backoff(0.5, jitter="none")``
    full jitter          ``Backoff(0.5)``: U(0, ceiling)
    equal jitter         ``Backoff(0.5, jitter="equal")``: ceiling/2 + U(0, ceiling/2)
    decorrelated jitter  ``Backoff(0.5, jitter="decorrelated")``: min(cap, U(base, 3 * the wait before))
    as the SDKs wait     ``Backoff(0.5, cap=8, jitter=0.25)``: ceiling * (1 - U(0, 0.25))
    ===================  ==============================================

    Args:
        base: the first wait's ceiling, in seconds; with decorrelated jitter, the shortest wait.
        cap: no wait is longer.
        factor: by which the ceiling grows from one retry to the next.
        jitter: the share of the ceiling that is random, by name or as a number from 0 to 1.

    Raises:
        ConfigurationError: one of them is out of its range.
    """

    base: float = 0.5
    cap: float = 8.0
    factor: float = 2.0
    jitter: Literal["none", "equal", "full", "decorrelated"] | float = "full"

    def __post_init__(self) -> None:
        for name, value, least in (("base", self.base, 0), ("cap", self.cap, 0), ("factor", self.factor, 1)):
            if not (value >= least and math.isfinite(value)):
                raise ConfigurationError(f"a backoff's {name} is a number of at least {least}, got {value!r}")
        share = self.jitter
        if not (share in (*_SHARES, "decorrelated") or (isinstance(share, int | float) and 0 <= share <= 1)):
            allowed = "'none', 'equal', 'full', 'decorrelated', or a share from 0 to 1"
            raise ConfigurationError(f"a backoff's jitter is {allowed}, got {share!r}")

    def wait(self, retry: int, rng: random.Random, previous: float | None = None) -> float:
        """Seconds to wait before a retry.

        Args:
            retry: its number, from 1.
            rng: where the jitter comes from.
            previous: the wait before the retry before this one; None at the first.
        """
        if self.jitter == "decorrelated":
            return min(self.cap, rng.uniform(self.base, 3 * (self.base if previous is None else previous)))
        try:
            ceiling = min(self.cap, self.base * self.factor ** (retry - 1))
        except OverflowError:  # far beyond any cap
            ceiling = self.cap
        share = _SHARES[self.jitter] if isinstance(self.jitter, str) else self.jitter
        return ceiling * (1 - share * rng.random()) if share else ceiling

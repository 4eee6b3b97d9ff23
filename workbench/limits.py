"""A token bucket: the provider's 429 and the client's own limiter are this one object.

The bucket's state is a single number, the instant at which it will be full again (the "theoretical
arrival time" of the generic cell rate algorithm, ITU-T I.371): it fills by itself, nothing ticks.  Time is
an argument of every method, so the same bucket serves the wall clock, virtual time and simulations.
"""

from __future__ import annotations

import math

__all__ = ["TokenBucket"]

_SLACK = 1e-9  # seconds; far below any limit's meaning, far above a float's rounding error


class TokenBucket:
    """A bucket of `capacity` units that refills continuously at `rate` units a second; full at first.

    Raises:
        ValueError: `capacity` or `rate` is not a positive, finite number.
    """

    def __init__(self, capacity: float, rate: float) -> None:
        for name, value in (("capacity", capacity), ("rate", rate)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be a positive, finite number, got {value!r}")
        self.capacity = capacity
        self.rate = rate
        self._full_at = -math.inf

    @classmethod
    def per_minute(cls, limit: float) -> TokenBucket:
        """The bucket behind "`limit` a minute": a burst of `limit`, then `limit`/60 a second."""
        return cls(limit, limit / 60)

    def level(self, now: float) -> float:
        """Units in the bucket at `now`; negative while it is in debt."""
        return self.capacity - max(0.0, self._full_at - now) * self.rate

    def full_in(self, now: float) -> float:
        """Seconds until the bucket is full."""
        return max(0.0, self._full_at - now)

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` units are there (0 if they are); infinite above the capacity."""
        if amount > self.capacity:
            return math.inf
        wait = self.full_in(now) - (self.capacity - amount) / self.rate
        return wait if wait > _SLACK else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take `amount` units, if need be into debt; a negative amount gives units back."""
        self._full_at = max(self._full_at, now) + amount / self.rate

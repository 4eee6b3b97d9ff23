"""Adaptive throttling: a client refuses by itself what an overloaded provider would refuse anyway."""

from __future__ import annotations

import random
import threading

from workbench.errors import ConfigurationError
from workbench.resilience.gates import Permit
from workbench.resilience.retry import is_retryable
from workbench.resilience.window import TimeWindow

__all__ = ["AdaptiveThrottle"]


class AdaptiveThrottle:
    """Refuses with probability max(0, (requests - k * accepts) / (requests + 1)).  Safe to use from threads.

    The formula is that of the Google SRE book, chapter 21: the provider is sent about `k` times what it
    accepts, and nothing is refused while it accepts more than 1/k of the requests.

    Args:
        k: the lower, the sooner it refuses, and the fewer requests are wasted; at least 1.
        seconds: the window of both counts.

    Raises:
        ConfigurationError: `k` is below 1, or `seconds` is not positive.
    """

    def __init__(self, k: float = 2.0, *, seconds: float = 120.0) -> None:
        if not (k >= 1 and seconds > 0):
            raise ConfigurationError(f"k is at least 1 and seconds positive, got {k!r} and {seconds!r}")
        self.k = k
        self._counts = TimeWindow(seconds, 2, slices=60)
        self._lock = threading.Lock()

    def refusal(self, now: float) -> float:
        """The probability with which it refuses."""
        requests, accepts = self._counts.sums(now)
        return max(0.0, (requests - self.k * accepts) / (requests + 1))

    def acquire(self, now: float, rng: random.Random) -> Permit | None:
        """A permit for one call, or None: do not call."""
        with self._lock:
            refused = rng.random() < self.refusal(now)
            self._counts.add(now, 1, 0)
        return None if refused else (0, now)

    def record(
        self, permit: Permit, now: float, error: BaseException | None = None, took: float | None = None
    ) -> None:
        """Say what a call came to: the provider has accepted it unless the same call may succeed later."""
        if error is None or not is_retryable(error):
            with self._lock:
                self._counts.add(now, 0, 1)

    def release(self, permit: Permit) -> None:
        """A call was given up: it stays a request that was not accepted."""

    def retry_after(self, now: float) -> float:
        """Seconds after which to ask again: 0, since the next request may be let through."""
        return 0.0

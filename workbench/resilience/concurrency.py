"""Concurrency limits that find themselves: how many calls may be in flight, judged by how they fare.

Both rules are those of Netflix's concurrency-limits, with its defaults.
"""

from __future__ import annotations

import math
import random
import threading
from abc import ABC, abstractmethod

from workbench.errors import ConfigurationError
from workbench.resilience.gates import Permit
from workbench.resilience.retry import is_retryable

__all__ = ["AIMDLimit", "ConcurrencyLimit", "GradientLimit"]


class ConcurrencyLimit(ABC):
    """Admits calls while fewer than the limit are in flight; how that moves is for the subclass to say.

    Safe to use from several threads.

    Args:
        initial: the limit at first.
        least: it does not fall below this.
        most: it does not grow above this.

    Raises:
        ConfigurationError: not 1 <= least <= initial <= most.
    """

    def __init__(self, initial: float = 20, *, least: float = 1, most: float = 200) -> None:
        if not 1 <= least <= initial <= most:
            raise ConfigurationError(f"1 <= least <= initial <= most, got {least!r}, {initial!r}, {most!r}")
        self.limit, self.least, self.most = float(initial), least, most
        self.in_flight = 0
        self._lock = threading.Lock()

    def acquire(self, now: float, rng: random.Random | None = None) -> Permit | None:
        """A permit for one call, or None: do not call."""
        with self._lock:
            if self.in_flight >= math.floor(self.limit):
                return None
            self.in_flight += 1
            return self.in_flight, now

    def record(
        self, permit: Permit, now: float, error: BaseException | None = None, took: float | None = None
    ) -> None:
        """Say what a call came to; errors that may pass mean overload, others say nothing of it."""
        in_flight, started = permit
        with self._lock:
            self.in_flight -= 1
            if error is None or is_retryable(error):
                took = now - started if took is None else took
                limit = self._next(now, took, in_flight, error is not None)
                self.limit = min(self.most, max(self.least, limit))

    def release(self, permit: Permit) -> None:
        """A call was given up, and says nothing."""
        with self._lock:
            self.in_flight -= 1

    def retry_after(self, now: float) -> float:
        """Seconds after which to ask again: 0, since another call may end at any time."""
        return 0.0

    @abstractmethod
    def _next(self, now: float, took: float, in_flight: int, dropped: bool) -> float:
        """The limit after an answer."""


class AIMDLimit(ConcurrencyLimit):
    """Additive increase, multiplicative decrease: +1 while half of it is used, times `backoff` on failure.

    Args:
        backoff: the factor, after a failure or a call longer than `timeout`.
        timeout: seconds.
        limits: `initial`, `least` and `most`, as for :class:`ConcurrencyLimit`.
    """

    def __init__(self, *, backoff: float = 0.9, timeout: float = math.inf, **limits: float) -> None:
        super().__init__(**limits)
        self.backoff, self.timeout = backoff, timeout

    def _next(self, now: float, took: float, in_flight: int, dropped: bool) -> float:
        if dropped or took > self.timeout:
            return self.limit * self.backoff
        return self.limit + 1 if in_flight * 2 >= self.limit else self.limit


class GradientLimit(ConcurrencyLimit):
    """Follows the latency: where calls take longer than they use to, they queue, and the limit falls.

    Once in an interval the limit moves towards limit * gradient + queue, with gradient = tolerance *
    long-term latency / the interval's mean latency, kept between 0.5 and 1.  It knows no other latency than
    that which it has seen: it should begin low.

    Args:
        queue: calls that may queue at the provider.
        tolerance: the growth of the latency that does not count.
        smoothing: how fast the limit moves, from 0 to 1.
        window: intervals over which the long-term latency is averaged, exponentially.
        interval: seconds; it is longer where there are fewer than 10 calls.
        limits: `initial`, `least` and `most`, as for :class:`ConcurrencyLimit`.
    """

    def __init__(
        self,
        *,
        queue: float = 4,
        tolerance: float = 1.5,
        smoothing: float = 0.2,
        window: int = 600,
        interval: float = 1.0,
        **limits: float,
    ) -> None:
        super().__init__(**limits)
        self.queue, self.tolerance, self.smoothing, self.window = queue, tolerance, smoothing, window
        self.interval = interval
        self._intervals, self._long = 0, 0.0
        self._since, self._calls, self._sum, self._peak = -math.inf, 0, 0.0, 0

    def _next(self, now: float, took: float, in_flight: int, dropped: bool) -> float:
        self._calls, self._sum, self._peak = self._calls + 1, self._sum + took, max(self._peak, in_flight)
        if self._calls < 10 or 0 <= now - self._since < self.interval:
            return self.limit
        latency, peak = self._sum / self._calls, self._peak
        self._since, self._calls, self._sum, self._peak = now, 0, 0.0, 0
        return self._step(latency, peak)

    def _step(self, latency: float, in_flight: int) -> float:
        self._intervals += 1
        self._long += (latency - self._long) / min(self._intervals, self.window / 2)
        if self._long > 2 * latency:  # the load has gone: forget the latency that it had
            self._long *= 0.95
        if in_flight < self.limit / 2:  # the limit is not what bounds the calls
            return self.limit
        gradient = max(0.5, min(1.0, self.tolerance * self._long / latency)) if latency > 0 else 1.0
        return self.limit + self.smoothing * (self.limit * gradient + self.queue - self.limit)

"""What serves the calls: places, a queue, latency that may grow with the load, failures, outages.

A request's fate is computed when it arrives, because it depends on those before it alone: requests are served
first come first served, and a service does not notice that a client has gone.  That is what wastes its work.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from typing import NamedTuple

from workbench.errors import ConfigurationError, OverloadedError, ProviderError, ServerError

__all__ = ["Answer", "Distribution", "Exponential", "Lognormal", "Server", "Service", "draw"]

Distribution = float | Callable[[random.Random], float]


@dataclass(frozen=True, slots=True)
class Exponential:
    """Seconds with that mean, and no memory."""

    mean: float

    def __call__(self, rng: random.Random) -> float:
        """One draw."""
        return rng.expovariate(1 / self.mean)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Seconds with that median; `sigma` is the standard deviation of their logarithm."""

    median: float
    sigma: float

    def __call__(self, rng: random.Random) -> float:
        """One draw."""
        return self.median * math.exp(self.sigma * rng.gauss())


def draw(seconds: Distribution, rng: random.Random) -> float:
    """A number as it is, or a draw from what it is distributed as."""
    return seconds(rng) if callable(seconds) else seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as data.

    Args:
        seconds: of a request's work, without load.
        per_request: seconds that each request in service, itself included, adds to those.
        slots: requests that are served at once; None: all of them.
        queue: requests that wait at most; more are refused at once, as overload.
        failure_rate: the share of requests that fail at the end of their work.
        outages: (start, end) in seconds: a request that comes then is refused at once, one that is in
            service when it starts fails then.
        tokens_per_second: that the service makes for a request in service.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    seconds: Distribution = 1.0
    per_request: float = 0.0
    slots: int | None = None
    queue: float = math.inf
    failure_rate: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()
    tokens_per_second: float = 0.0

    def __post_init__(self) -> None:
        if self.slots is not None and self.slots < 1:
            raise ConfigurationError(f"a service has at least 1 slot, got {self.slots!r}")
        if not 0 <= self.failure_rate <= 1:
            raise ConfigurationError(f"failure_rate is a share from 0 to 1, got {self.failure_rate!r}")
        if not all(0 <= start < end for start, end in self.outages):
            raise ConfigurationError(f"an outage ends after its start, got {self.outages!r}")


class Answer(NamedTuple):
    """What becomes of a request: when it leaves, after which work, and with which error."""

    at: float
    waited: float
    worked: float
    error: ProviderError | None


_REFUSED = OverloadedError("no capacity is left", provider="service", status=503)
_FAILED = ServerError("the request failed", provider="service", status=500)


class Server:
    """A service at work; requests come in the order of time.

    Args:
        service: what it is.
        rng: where its draws come from.
    """

    def __init__(self, service: Service, rng: random.Random) -> None:
        self.service, self._rng = service, rng
        self._leaving: list[float] = []  # when each request that is here leaves: a heap
        self._free = [0.0] * (service.slots or 0)  # when each place is free: a heap

    def admit(self, now: float) -> Answer:
        """A request arrives."""
        service, leaving, free = self.service, self._leaving, self._free
        for start, end in service.outages:
            if start <= now < end:
                return Answer(now, 0.0, 0.0, _REFUSED)
        while leaving and leaving[0] <= now:
            heappop(leaving)
        here = len(leaving)
        if free and here >= len(free) + service.queue:
            return Answer(now, 0.0, 0.0, _REFUSED)
        load = min(here, len(free)) if free else here
        work = draw(service.seconds, self._rng) + service.per_request * (load + 1)
        start = max(now, free[0]) if free else now
        leaves = start + work
        failed = service.failure_rate > 0 and self._rng.random() < service.failure_rate
        for down, _ in service.outages:
            if now < down < leaves:
                leaves, failed = down, True
        if free:
            heapreplace(free, max(start, leaves) if leaves >= free[0] else free[0])
        heappush(leaving, leaves)
        return Answer(leaves, min(start, leaves) - now, max(0.0, leaves - start), _FAILED if failed else None)

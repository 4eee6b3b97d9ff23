"""When calls begin: a rate that may change, and how evenly the calls come.

One mechanism makes them all: calls that come once a second on average, on a clock that runs as fast as the
rate says.  `burstiness` is the shape of the gamma distribution of the gaps, as load generators have it.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from workbench.errors import ConfigurationError

__all__ = ["Arrivals"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The instants at which calls begin.

    Args:
        rates: (from this second on, calls a second), in order, the first from 0 on.
        burstiness: infinite: even gaps; 1: a Poisson process; less: bursts.
        trace: instead of all that, the instants themselves, in seconds.

    Raises:
        ConfigurationError: the rates are out of order or negative, or the burstiness is not positive.
    """

    rates: tuple[tuple[float, float], ...] = ()
    burstiness: float = 1.0
    trace: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.rates]
        if self.rates and (starts[0] != 0 or any(b <= a for a, b in itertools.pairwise(starts))):
            raise ConfigurationError(f"rates begin at 0, and each later than the one before, got {starts!r}")
        if not all(0 <= rate < math.inf for _, rate in self.rates):
            raise ConfigurationError(f"a rate is a number of calls a second, got {self.rates!r}")
        if not self.burstiness > 0:
            raise ConfigurationError(f"burstiness is a positive number, got {self.burstiness!r}")

    @classmethod
    def constant(cls, rate: float) -> Arrivals:
        """`rate` calls a second, evenly."""
        return cls(((0, rate),), math.inf)

    @classmethod
    def poisson(cls, rate: float) -> Arrivals:
        """`rate` calls a second, each independent of all others."""
        return cls(((0, rate),))

    @classmethod
    def gamma(cls, rate: float, cv: float) -> Arrivals:
        """`rate` calls a second in bursts: `cv` is the gaps' standard deviation over their mean."""
        return cls(((0, rate),), 1 / cv**2)

    @classmethod
    def spike(cls, rate: float, to: float, start: float, end: float) -> Arrivals:
        """A Poisson process of `rate` calls a second, and of `to` from `start` to `end`."""
        return cls(((0, rate), (start, to), (end, rate)))

    @classmethod
    def replay(cls, instants: Iterable[float]) -> Arrivals:
        """What was recorded: each call's beginning, in seconds."""
        return cls(trace=tuple(sorted(instants)))

    def until(self, end: float, rng: random.Random) -> list[float]:
        """The instants before `end`, in order."""
        if self.trace:
            return [instant for instant in self.trace if instant < end]
        starts, rates = zip(*self.rates, strict=True)
        edges = np.array([start for start in starts if start < end] + [end])
        expected = np.concatenate([[0], np.cumsum(np.diff(edges) * np.array(rates[: len(edges) - 1]))])
        units = list(itertools.takewhile(lambda unit: unit < expected[-1], self._units(rng)))
        return [float(instant) for instant in np.interp(units, expected, edges)]

    def _units(self, rng: random.Random) -> Iterable[float]:
        """A renewal process of mean gap 1."""
        shape = self.burstiness
        if shape == math.inf:
            return itertools.count(1.0)
        if shape == 1:
            return itertools.accumulate(rng.expovariate(1.0) for _ in itertools.count())
        return itertools.accumulate(rng.gammavariate(shape, 1 / shape) for _ in itertools.count())

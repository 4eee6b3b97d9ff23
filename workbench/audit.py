"""Which hours' spend is unusual: by median and MAD, which a few such hours cannot move.

Each series (a service, a key, or both) is held against itself: an hour against the same hour of the days
before, since the afternoon is no night.  Source: Iglewicz, Hoaglin, How to Detect and Handle Outliers (1993).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UnusualHour", "unusual_hours"]

_SIGMA = 1.4826  # a normal distribution's standard deviation, in MADs
_FLOOR = 0.1  # of the median: a spend that hardly varies is not alarming for varying a little
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class UnusualHour:
    """An hour that cost far more than it usually does; costs in dollars, `score` in standard deviations."""

    at: datetime
    series: tuple[str, ...]
    cost: float
    usual: float
    score: float


def unusual_hours(
    calls: pd.DataFrame, by: tuple[str, ...] = ("service", "key"), *, threshold: float = 6, days: int = 7
) -> list[UnusualHour]:
    """The hours that cost far more than they usually do, in time's order.

    Args:
        calls: one row for each call, with `at`, `cost` and the columns of `by`: :meth:`Ledger.to_frame`.
        by: what makes a series.
        threshold: robust standard deviations above the median from which on an hour is unusual.
        days: before that, against which it is held; the first hours that have fewer are not judged.
    """
    costs: defaultdict[tuple[str, ...], defaultdict[datetime, float]]
    costs = defaultdict(lambda: defaultdict(float))
    for at, cost, *series in calls[["at", "cost", *by]].itertuples(index=False):
        costs[tuple(series)][at.to_pydatetime().replace(minute=0, second=0, microsecond=0)] += cost
    if not costs:
        return []
    hours = [hour for series_costs in costs.values() for hour in series_costs]
    first, last = min(hours) + days * _DAY, max(hours)
    judged = [first + number * _HOUR for number in range((last - first) // _HOUR + 1)]
    found = []
    for key, hourly in costs.items():
        least = median(hourly.values())  # of the hours in which something was spent
        for hour in judged:
            past = [hourly.get(hour - day * _DAY, 0.0) for day in range(1, days + 1)]
            usual = median(past)
            mad = median(abs(cost - usual) for cost in past)
            spread = max(_SIGMA * mad, _FLOOR * max(usual, least))
            cost = hourly.get(hour, 0.0)
            if (score := (cost - usual) / spread) > threshold:
                found.append(UnusualHour(hour, key, cost, usual, score))
    return sorted(found, key=lambda each: (each.at, each.series))

"""What a play of a scenario has come to: its calls and attempts as tables, and what is measured by them.

While it runs, each call and each request is a few numbers in one array; tables are made on request.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from workbench.experiments.scenario import Scenario

__all__ = ["OUTCOMES", "Metrics", "Run"]

OUTCOMES = ("ok", "failed", "rejected", "lost", "unfinished")
_CALL = ("call", "started", "ended", "attempts", "outcome")
_ATTEMPT = ("call", "sent", "ended", "waited", "worked", "outcome")


class Metrics(NamedTuple):
    """What a run is judged by.

    Attributes:
        calls: that began.
        success: the share of them that were answered.
        goodput: answers within the SLO, a second.
        p50: seconds from a call's begin to its answer, its retries included: the median of those answered.
        p99: what 99 % of those answered took at most.
        attempts_per_call: requests that were sent, for each call: by how much the load is multiplied.
        amplification: the same in the five seconds in which it was highest.
        wasted_tokens: made for answers that nobody used.
    """

    calls: int
    success: float
    goodput: float
    p50: float
    p99: float
    attempts_per_call: float
    amplification: float
    wasted_tokens: float


class Run:
    """The records of one play.

    Args:
        scenario: what was played.
        seed: from which.
        calls: the columns of `to_frame`, row by row.
        attempts: those of `attempts_frame`.
    """

    def __init__(self, scenario: Scenario, seed: int, calls: array[float], attempts: array[float]) -> None:
        self.scenario, self.seed = scenario, seed
        self._calls, self._attempts = calls, attempts

    def to_frame(self) -> pd.DataFrame:
        """A row for each call, in the order of their ends; `started` and `ended` are in seconds."""
        return _frame(self._calls, _CALL)

    def attempts_frame(self) -> pd.DataFrame:
        """A row for each request: `waited` and `worked` are its seconds in the service."""
        return _frame(self._attempts, _ATTEMPT)

    def metrics(self, *, slo: float = math.inf, start: float = 0.0, end: float = math.inf) -> Metrics:
        """Measure the calls that began in a window.

        Args:
            slo: seconds within which an answer is good.
            start: of the window, in seconds.
            end: of the window; by default when the last call may begin.
        """
        end = min(end, self.scenario.seconds)
        calls, attempts = self.to_frame(), self.attempts_frame()
        calls = calls[calls["started"].between(start, end, inclusive="left")]
        attempts = attempts[attempts["call"].isin(calls["call"])]
        took = (calls["ended"] - calls["started"])[calls["outcome"] == "ok"]
        p50, p99 = took.quantile([0.5, 0.99]) if len(took) else (math.nan, math.nan)
        unused = attempts.loc[attempts["outcome"] != "ok", "worked"].sum()
        count = max(1, len(calls))
        return Metrics(
            calls=len(calls),
            success=len(took) / count,
            goodput=float((took <= slo).sum()) / (end - start),
            p50=float(p50),
            p99=float(p99),
            attempts_per_call=float(calls["attempts"].sum()) / count,
            amplification=self._amplification(start, end),
            wasted_tokens=float(unused) * self.scenario.service.tokens_per_second,
        )

    def over_time(self, width: float = 1.0) -> pd.DataFrame:
        """What happened in each `width` seconds, a second: calls `begun`, requests `sent`, answers `ok`.

        `success` is the share of the calls begun in that time that were answered, whenever.
        """
        calls, attempts = self.to_frame(), self.attempts_frame()
        edges = np.arange(0, self.scenario.seconds + width, width)
        answered = calls[calls["outcome"] == "ok"]
        columns = {
            "begun": np.histogram(calls["started"], edges)[0],
            "sent": np.histogram(attempts["sent"], edges)[0],
            "ok": np.histogram(answered["ended"], edges)[0],
            "success": np.histogram(answered["started"], edges)[0],
        }
        frame = pd.DataFrame(columns, index=pd.Index(edges[:-1], name="seconds")) / width
        frame["success"] /= frame["begun"]
        return frame

    def time_to_recover(self, since: float, *, share: float = 0.9, width: float = 1.0) -> float:
        """Seconds from `since` (when the cause was over) until success is back for good.

        Args:
            since: when what went wrong was over.
            share: of the calls begun in `width` seconds that are answered when all is well.
            width: of the intervals that are looked at.

        Returns:
            infinite, if it was not back when the last calls began.
        """
        success = self.over_time(width)["success"]
        bad = success.index[(success < share) & (success.index + width > since)]
        if len(bad) == 0:
            return 0.0
        back = float(bad[-1]) + width
        return math.inf if back >= self.scenario.seconds else back - since

    def _amplification(self, start: float, end: float) -> float:
        rates = self.over_time(5.0).loc[start:end]
        return float((rates["sent"] / rates["begun"]).replace(math.inf, math.nan).max())


def _frame(numbers: array[float], columns: tuple[str, ...]) -> pd.DataFrame:
    rows = (
        np.frombuffer(numbers, dtype=float).reshape(-1, len(columns))
        if numbers
        else np.empty((0, len(columns)))
    )
    frame = pd.DataFrame(rows, columns=pd.Index(columns))
    frame["outcome"] = pd.Categorical.from_codes(frame["outcome"].astype(int), pd.Index(OUTCOMES))
    whole = [name for name in ("call", "attempts") if name in columns]
    return frame.astype(dict.fromkeys(whole, int))

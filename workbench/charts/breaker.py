"""A breaker's run: its states, what was in flight, and what became of the calls."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pandas as pd

from workbench.charts.style import BLUE, GREEN, INK, ORANGE, RED, Chart, head, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["breaker_run"]

_STATES = {"closed": (1, GREEN, ""), "half-open": (2, ORANGE, "...."), "open": (3, RED, "////")}
_LINES = {"ok": (GREEN, "-"), "failed": (RED, "--"), "refused": (BLUE, ":"), "requests": (INK, "-.")}
_SMOOTHED = 8  # rows of the table


def breaker_run(frame: pd.DataFrame, digest: str, *, title: str = "") -> Chart:
    """Three charts below each other, on one axis of seconds.

    Args:
        frame: a row for each instant, in even steps, by the second: the `state`, how many calls were
            `in flight`, and how many since the row before were `ok`, `failed`, `refused`, and `requests`.
        digest: what the chart says as text.
        title: above it.
    """
    figure, (states, flying, calls) = panels([0.6, 1.4, 1.8], title)
    if len(frame):
        _bars(states, frame["state"], step := float(frame.index[0]))
        flying.step(frame.index, frame["in flight"], where="post", color=BLUE, linewidth=1.3)
        for name, (color, style) in _LINES.items():
            rate = frame[name].rolling(_SMOOTHED, min_periods=1).mean() / step
            calls.plot(frame.index, rate, color=color, linestyle=style, linewidth=1.5, label=name)
    states.set_ylim(0, 3.2)
    states.set_yticks([1, 2, 3], list(_STATES), fontsize=8)
    flying.set_ylim(bottom=0)
    calls.set_ylim(bottom=0)
    for axis, name in ((states, "state"), (flying, "in flight"), (calls, "calls and requests a second")):
        head(axis, name, frame.empty, nothing="nothing has run")
    calls.set_xlabel("seconds")
    return Chart(figure, digest)


def _bars(axis: Axes, states: pd.Series[str], step: float) -> None:
    """A bar for as long as a state lasts, the higher the less it lets through."""
    at = 0.0
    for state, run in groupby(states):
        width = step * len(list(run))
        if state in _STATES:
            height, color, hatch = _STATES[state]
            axis.bar(
                at, height, width, align="edge", color=color, hatch=hatch, edgecolor="white", linewidth=0
            )
        at += width

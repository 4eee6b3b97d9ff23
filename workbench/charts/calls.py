"""Calls: when each began and ended, and how many were in flight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from workbench.charts.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SHORTEST,
    SKY,
    YELLOW,
    Chart,
    head,
    looks,
    panels,
    plain,
    seconds,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ecdf", "in_flight", "timeline"]

_KINDS = {  # outcome: colour, hatch
    "ok": (BLUE, ""),
    "rejected": (RED, "////"),
    "failed": (PURPLE, "xxxx"),
    "broken": (ORANGE, "...."),
    "cancelled": (GREY, "\\\\\\\\"),
    "in flight": (SKY, ""),
    "error": (RED, "////"),
}
_PERCENTILES = (0.5, 0.95, 0.99)


class _Tabular(Protocol):
    def to_frame(self) -> pd.DataFrame: ...


Runs = _Tabular | Mapping[str, _Tabular]


def timeline(runs: Runs, *, title: str = "") -> Chart:
    """One bar for each call, from its start to its end; what came before the work itself is pale.

    Args:
        runs: what has `to_frame()`: a fan-out's result or a simulator's log; or several by name, which are
            drawn below each other on one scale.
        title: above the chart.
    """
    frames = {name: _bars(run) for name, run in _named(runs).items()}
    figure, axes = panels([0.9 + 0.05 * min(60, len(frame)) for frame in frames.values()], title)
    end = max((frame["end"].max() for frame in frames.values() if len(frame)), default=1.0) or 1.0
    for axis, (name, frame) in zip(axes, frames.items(), strict=True):
        _draw_bars(axis, frame, end * SHORTEST)
        axis.set_xlim(0, end * 1.01)
        axis.set_ylim(max(1, len(frame)) - 0.4, -0.6)  # downwards
        axis.set_ylabel("call")
        axis.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        head(axis, name, frame.empty)
    axes[-1].set_xlabel("seconds")
    return Chart(figure, _digests("timeline", frames))


def in_flight(runs: Runs, *, title: str = "", bound: float | None = None) -> Chart:
    """How many calls were in flight over time: sent, and neither answered nor given up.

    A call that the client's own rate limiter holds back is not in flight yet; one that stands in the
    provider's queue is.

    Args:
        runs: as for :func:`timeline`.
        title: above the chart.
        bound: a limit to draw as a line.
    """
    frames = {name: _bars(run) for name, run in _named(runs).items()}
    figure, (axis,) = panels([2.6], title)
    for (name, frame), (color, style) in zip(frames.items(), looks(), strict=False):
        levels = _levels(frame)
        times, counts = [0.0, *levels.index], [0, *levels]
        label = plain(name) or "in flight"
        axis.step(times, counts, where="post", color=color, linestyle=style, linewidth=1.8, label=label)
    if bound is not None:
        axis.axhline(bound, color=RED, linewidth=1.2, linestyle=(0, (1, 1)), label=f"limit {bound:g}")
    axis.set_xlabel("seconds")
    axis.set_ylabel("calls in flight")
    axis.set_xlim(left=0)
    axis.set_ylim(
        0, 1.08 * max([1, bound or 0, *(_levels(frame).max() for frame in frames.values() if len(frame))])
    )
    axis.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    head(axis, "", all(frame.empty for frame in frames.values()), columns=4)
    return Chart(figure, _digests("in flight", frames))


def ecdf(runs: Runs, *, title: str = "") -> Chart:
    """The share of calls that took no longer than a time, the time on a logarithmic scale.

    A call's time is from its sending to its end, failed ones included; p50, p95 and p99 are read off at the
    lines across.

    Args:
        runs: as for :func:`timeline`.
        title: above the chart.
    """
    frames = {name: _bars(run) for name, run in _named(runs).items()}
    took = {name: (frame["end"] - frame["sent"]).sort_values() for name, frame in frames.items()}
    figure, (axis,) = panels([3.0], title)
    for (name, times), (color, style) in zip(took.items(), looks(), strict=False):
        if len(times):
            axis.ecdf(times, color=color, linestyle=style, linewidth=1.8, label=plain(name) or "calls")
    for level in _PERCENTILES if any(map(len, took.values())) else ():
        axis.axhline(level, color=INK, linewidth=0.6, linestyle=(0, (1, 2)))
    axis.set_xscale("log")
    axis.set_yticks([0, *_PERCENTILES], ["0", *(f"p{level * 100:.0f}" for level in _PERCENTILES)], fontsize=7)
    axis.set_xlabel("seconds")
    axis.get_yticklabels()[-1].set_verticalalignment("bottom")  # p99 is next to p95
    axis.get_yticklabels()[-2].set_verticalalignment("top")
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_minor_formatter(NullFormatter())
    head(axis, "", all(frame.empty for frame in frames.values()), columns=4)
    lines = []
    for name, times in took.items():
        levels = _PERCENTILES if len(times) else ()
        values = [f", p{level * 100:.0f} {seconds(float(times.quantile(level)))}" for level in levels]
        lines.append(f"ecdf{f' · {name}' if name else ''}: {len(times)} calls{''.join(values)}")
    return Chart(figure, "\n".join(lines))


# -- drawing ------------------------------------------------------------------------------------------


def _draw_bars(axis: Axes, frame: pd.DataFrame, shortest: float) -> None:
    for begin, until, color, label in (
        ("start", "sent", GREY, "held back"),
        ("sent", "work", YELLOW, "queued"),
    ):
        waited = frame[frame[until] > frame[begin]]
        if len(waited):
            long = waited[until] - waited[begin]
            axis.barh(waited.index, long, left=waited[begin], height=0.8, color=color, alpha=0.4, label=label)
    for kind, (color, hatch) in _KINDS.items():
        group = frame[frame["kind"] == kind]
        if len(group):
            axis.barh(
                group.index,
                (group["end"] - group["work"]).clip(lower=shortest),
                left=group["work"],
                height=0.8,
                color=color,
                hatch=hatch,
                edgecolor="white" if hatch else color,
                linewidth=0,
                label=f"{kind} ({len(group)})",
            )


# -- from records to what is drawn --------------------------------------------------------------------


def _named(runs: Runs) -> Mapping[str, _Tabular]:
    return runs if isinstance(runs, Mapping) else {"": runs}


def _bars(run: _Tabular) -> pd.DataFrame:
    """One row for each call: `start`, `sent`, `work`, `end` (seconds from the first start) and `kind`.

    From `start` to `sent` a rate limiter of the client's held it back, from `sent` to `work` it stood in the
    provider's queue; only the client knows the one, only the provider the other.
    """
    frame = run.to_frame().reset_index(drop=True)
    if "arrival" in frame:  # a simulator's log
        sent, end = frame["arrival"], frame["ended"]
        answered_at_once = sent.where(frame["outcome"] != "cancelled", end)  # or it was never served
        work = frame["started"].where(frame["started"].notna(), answered_at_once)
        bars = pd.DataFrame({"start": sent, "sent": sent, "work": work, "end": end, "kind": frame["outcome"]})
    else:
        sent, end = frame["started"], frame["ended"]
        kinds = frame["ok"].map({True: "ok", False: "error"})
        bars = pd.DataFrame({"start": sent - frame["waited"], "sent": sent, "work": sent, "end": end})
        bars["kind"] = kinds
    if len(bars):
        times = ["start", "sent", "work", "end"]
        instants = bars[times].astype(float)
        bars[times] = (instants - float(instants["start"].min())).round(9)  # clocks tell nanoseconds
    return bars


def _levels(bars: pd.DataFrame) -> pd.Series[int]:
    """The number of calls that are sent and not ended, from each instant on at which it changes."""
    steps = pd.concat([pd.Series(1, index=bars["sent"]), pd.Series(-1, index=bars["end"])])
    return steps.groupby(level=0).sum().sort_index().cumsum()


def _digests(what: str, frames: Mapping[str, pd.DataFrame]) -> str:
    return "\n".join(f"{what}{f' · {name}' if name else ''}: {_digest(f)}" for name, f in frames.items())


def _digest(bars: pd.DataFrame) -> str:
    if bars.empty:
        return "no calls"
    took = bars["end"] - bars["sent"]
    counts = bars["kind"].value_counts()
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in _KINDS if kind in counts)
    calls = f"{len(bars)} call{'s' if len(bars) > 1 else ''}"
    peak = f"at most {_levels(bars).max()} in flight"
    took_text = f"p50 {seconds(took.median())}, max {seconds(took.max())}"
    return f"{calls} ({kinds}) in {seconds(bars['end'].max())}, {peak}, {took_text}"

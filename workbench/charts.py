"""Charts of what was recorded.  Each prints, as text, a digest of the data that it drew.

Notebook tests ignore pictures and compare text: so a figure that changes turns a test red.  Colours are
those of Okabe and Ito, which colour-blind readers can tell apart; nothing is said by colour alone.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.tracing import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Chart", "in_flight", "timeline", "waterfall"]

_WIDTH = 8.0  # inches
_DPI = 110
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#bbbbbb"
_KINDS = {  # outcome: colour, hatch
    "ok": (_BLUE, ""),
    "rejected": (_RED, "////"),
    "failed": (_RED, "xxxx"),
    "broken": (_ORANGE, "...."),
    "cancelled": (_GREY, "\\\\\\\\"),
    "error": (_RED, "////"),
}


class _Tabular(Protocol):
    def to_frame(self) -> pd.DataFrame: ...


Runs = _Tabular | Mapping[str, _Tabular]


class Chart:
    """A drawn figure: a picture for people, and a digest of its data as text."""

    def __init__(self, figure: Figure, digest: str) -> None:
        self.figure = figure
        self.digest = digest

    def __repr__(self) -> str:
        return self.digest

    def png(self) -> bytes:
        """The picture."""
        buffer = io.BytesIO()
        FigureCanvasAgg(self.figure)
        self.figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, object]:
        return {"image/png": self.png(), "text/plain": self.digest}


def timeline(runs: Runs, *, title: str = "") -> Chart:
    """One bar for each call, from its start to its end; what came before the work itself is pale.

    Args:
        runs: what has `to_frame()`: a fan-out's result or a simulator's log; or several by name, which are
            drawn below each other on one scale.
        title: above the chart.
    """
    frames = {name: _bars(run) for name, run in _named(runs).items()}
    figure, axes = _figure(len(frames), [1.0 + 0.045 * min(60, len(f)) for f in frames.values()], title)
    end = max((f["end"].max() for f in frames.values() if len(f)), default=1.0)
    for axis, (name, frame) in zip(axes, frames.items(), strict=True):
        rows = range(len(frame))
        pale = frame["work"] - frame["start"]
        axis.barh(rows, pale, left=frame["start"], height=0.8, color=_GREY, alpha=0.5)
        for kind, group in frame.groupby("kind", sort=True):
            color, hatch = _KINDS[str(kind)]
            axis.barh(
                group.index,
                group["end"] - group["work"],
                left=group["work"],
                height=0.8,
                color=color,
                hatch=hatch,
                edgecolor="white" if hatch else color,
                linewidth=0,
                label=f"{kind} ({len(group)})",
            )
        axis.set_xlim(0, end * 1.02)
        axis.invert_yaxis()
        axis.set_ylabel("call")
        axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_title(name, loc="left", fontsize=10)
        if len(frame):
            above = (1.0, 1.0)
            axis.legend(loc="lower right", bbox_to_anchor=above, fontsize=8, frameon=False, ncols=5)
    axes[-1].set_xlabel("seconds")
    return Chart(figure, _digests("timeline", frames))


def in_flight(runs: Runs, *, title: str = "", bound: float | None = None) -> Chart:
    """How many calls were under way, over time.

    Args:
        runs: as for :func:`timeline`.
        title: above the chart.
        bound: a limit to draw as a line.
    """
    frames = {name: _bars(run) for name, run in _named(runs).items()}
    figure, (axis,) = _figure(1, [2.6], title)
    for (name, frame), style in zip(frames.items(), ("-", "--", ":", "-."), strict=False):
        steps = _levels(frame)
        axis.step(steps.index, steps, where="post", linestyle=style, label=name or "in flight")
    if bound is not None:
        axis.axhline(bound, color=_RED, linewidth=1, linestyle=(0, (1, 1)), label=f"limit {bound:g}")
    axis.set_xlabel("seconds")
    axis.set_ylabel("calls in flight")
    axis.set_ylim(bottom=0)
    axis.legend(fontsize=8)
    return Chart(figure, _digests("in flight", frames))


def waterfall(trace: Trace, *, title: str = "") -> Chart:
    """The spans of a trace, each below the one around it."""
    spans = [record for record in trace if record.end is not None]
    origin = min((record.start for record in spans), default=0.0)
    depths: dict[int, int] = {}
    figure, (axis,) = _figure(1, [1.0 + 0.24 * min(60, len(spans))], title)
    lines = []
    for row, record in enumerate(spans):
        depth = depths[record.number] = depths.get(record.parent or 0, -1) + 1
        start = record.start - origin
        color = _RED if record.error else (_BLUE, _GREEN, _ORANGE)[depth % 3]
        hatch = "////" if record.error else ""
        axis.barh(row, record.duration, left=start, height=0.7, color=color, hatch=hatch)
        failed = f" ✗ {record.error}" if record.error else ""
        label = f"{'  ' * depth}{record.name} {record.duration:.3f} s{failed}"
        axis.annotate(label, (start, row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)
        lines.append(f"{start:9.3f} {label}")
    axis.invert_yaxis()
    axis.set_yticks([])
    axis.set_xlabel("seconds")
    return Chart(figure, "\n".join([f"waterfall: {len(spans)} spans", *lines]))


# -- from records to what is drawn --------------------------------------------------------------------


def _named(runs: Runs) -> Mapping[str, _Tabular]:
    return runs if isinstance(runs, Mapping) else {"": runs}


def _bars(run: _Tabular) -> pd.DataFrame:
    """Columns `start`, `work`, `end` (seconds from the first start) and `kind`, one row for each call."""
    frame = run.to_frame().reset_index(drop=True)
    if "arrival" in frame:  # a simulator's log
        bars = pd.DataFrame({"start": frame["arrival"], "end": frame["ended"], "kind": frame["outcome"]})
        bars["work"] = frame["started"].where(frame["started"].notna(), frame["arrival"]).astype(float)
    else:
        kinds = frame["ok"].map({True: "ok", False: "error"})
        bars = pd.DataFrame({"end": frame["ended"], "work": frame["started"], "kind": kinds})
        bars["start"] = frame["started"] - frame["waited"]
    if len(bars):
        times = ["start", "work", "end"]
        bars[times] = bars[times].astype(float) - float(bars["start"].min())
    return bars


def _levels(bars: pd.DataFrame) -> pd.Series[int]:
    """The number of calls under way from each instant on at which it changes."""
    steps = pd.concat([pd.Series(1, index=bars["work"]), pd.Series(-1, index=bars["end"])])
    return steps.groupby(level=0).sum().sort_index().cumsum()


def _digests(what: str, frames: Mapping[str, pd.DataFrame]) -> str:
    return "\n".join(f"{what}{f' · {name}' if name else ''}: {_digest(f)}" for name, f in frames.items())


def _digest(bars: pd.DataFrame) -> str:
    if bars.empty:
        return "no calls"
    took = bars["end"] - bars["work"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in bars["kind"].value_counts(sort=False).items())
    return (
        f"{len(bars)} calls ({kinds}) in {bars['end'].max():.2f} s, "
        f"at most {_levels(bars).max()} in flight, p50 {took.median():.2f} s, max {took.max():.2f} s"
    )


def _figure(rows: int, heights: list[float], title: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.5), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", alpha=0.3, linewidth=0.5)
        axis.set_axisbelow(True)
    if title:
        figure.suptitle(title, fontsize=11, x=0.01, ha="left", fontweight="bold")
    return figure, list(axes)

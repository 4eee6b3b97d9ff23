"""Charts of what was recorded.  Each prints, as text, a digest of the data that it drew.

Notebook tests ignore pictures and compare text: so a figure that changes turns a test red.  Colours are
those of Okabe and Ito, which colour-blind readers can tell apart; nothing is said by colour alone.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.streams import StreamMetrics
from workbench.tracing import SpanRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Chart", "arrivals", "in_flight", "timeline", "waterfall"]

_WIDTH = 8.0  # inches
_DPI = 110
_SHORTEST = 0.004  # of the width: what takes less time is drawn so long, to be seen
_ROWS = 60  # a waterfall's longest
_NAME = 44  # characters of a span's name
_BLUE, _ORANGE, _GREEN, _RED, _PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
_SKY, _YELLOW, _GREY, _PALE = "#56b4e9", "#f0e442", "#999999", "#dddddd"
_KINDS = {  # outcome: colour, hatch
    "ok": (_BLUE, ""),
    "rejected": (_RED, "////"),
    "failed": (_PURPLE, "xxxx"),
    "broken": (_ORANGE, "...."),
    "cancelled": (_GREY, "\\\\\\\\"),
    "in flight": (_SKY, ""),
    "error": (_RED, "////"),
}
_COLORS, _STYLES = (_BLUE, _ORANGE, _GREEN, _PURPLE, _SKY), ("-", "--", "-.", ":")  # 20 different lines


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
        """The picture; the same data give the same bytes."""
        buffer = io.BytesIO()
        FigureCanvasAgg(self.figure)
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")  # a second layout would not be quite the same
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
    figure, axes = _figure([0.9 + 0.05 * min(60, len(frame)) for frame in frames.values()], title)
    end = max((frame["end"].max() for frame in frames.values() if len(frame)), default=1.0) or 1.0
    for axis, (name, frame) in zip(axes, frames.items(), strict=True):
        _draw_bars(axis, frame, end * _SHORTEST)
        axis.set_xlim(0, end * 1.01)
        axis.set_ylim(max(1, len(frame)) - 0.4, -0.6)  # downwards
        axis.set_ylabel("call")
        axis.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        _head(axis, name, frame.empty)
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
    figure, (axis,) = _figure([2.6], title)
    looks = zip(itertools.cycle(_COLORS), itertools.cycle(_STYLES))
    for (name, frame), (color, style) in zip(frames.items(), looks, strict=False):
        levels = _levels(frame)
        times, counts = [0.0, *levels.index], [0, *levels]
        label = _plain(name) or "in flight"
        axis.step(times, counts, where="post", color=color, linestyle=style, linewidth=1.8, label=label)
    if bound is not None:
        axis.axhline(bound, color=_RED, linewidth=1.2, linestyle=(0, (1, 1)), label=f"limit {bound:g}")
    axis.set_xlabel("seconds")
    axis.set_ylabel("calls in flight")
    axis.set_xlim(left=0)
    axis.set_ylim(
        0, 1.08 * max([1, bound or 0, *(_levels(frame).max() for frame in frames.values() if len(frame))])
    )
    axis.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    _head(axis, "", all(frame.empty for frame in frames.values()), columns=4)
    return Chart(figure, _digests("in flight", frames))


def arrivals(streams: Mapping[str, StreamMetrics], *, title: str = "") -> Chart:
    """How many tokens of each stream its consumer had seen, over time.

    Args:
        streams: measurements by name, such as :class:`~workbench.streams.Metered` makes.
        title: above the chart.
    """
    figure, (axis,) = _figure([2.6], title)
    looks = zip(itertools.cycle(_COLORS), itertools.cycle(_STYLES))
    lines = []
    for (name, stream), (color, style) in zip(streams.items(), looks, strict=False):
        seen = [at - stream.asked for at in stream.tokens]
        counts = range(len(seen) + 1)
        axis.step([0.0, *seen], counts, where="post", color=color, linestyle=style, label=_plain(name))
        when = f", the first after {_seconds(seen[0])}, the last after {_seconds(seen[-1])}" if seen else ""
        lines.append(f"arrivals · {name}: {len(seen)} tokens{when}")
    axis.set_xlabel("seconds since it was asked for")
    axis.set_ylabel("tokens seen")
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    _head(axis, "", not any(stream.tokens for stream in streams.values()), columns=4, nothing="no tokens")
    return Chart(figure, "\n".join(lines))


def waterfall(trace: Sequence[SpanRecord], *, title: str = "") -> Chart:
    """The spans of a trace, each below the one around it: pale where it has others in it.

    Args:
        trace: what :func:`~workbench.tracing.recording` gave; spans that still run are left out.
        title: above the chart.
    """
    spans = _tree([record for record in trace if record.end is not None])
    drawn, rest = spans[:_ROWS], spans[_ROWS:]
    origin = min((record.start for _, record in spans), default=0.0)
    end = max((record.start + record.duration for _, record in spans), default=origin) - origin or 1.0
    figure, (axis,) = _figure([0.5 + 0.22 * max(1, len(drawn))], title)
    lines = [f"waterfall: {len(spans)} spans"]
    for row, (depth, record) in enumerate(drawn):
        start, long = record.start - origin, max(record.duration, end * _SHORTEST)
        color = _SKY if row + 1 < len(drawn) and drawn[row + 1][0] > depth else _BLUE
        (bar,) = axis.barh(row, long, left=min(start, end - long), height=0.72, linewidth=0, color=color)
        if record.error:
            bar.set(facecolor=_RED, hatch="////", edgecolor="white")
        failed = f" ✗ {record.error}" if record.error else ""
        lines.append(f"{start:9.3f} {'  ' * depth}{record.name} {record.duration:.3f} s{failed}")
    if rest:
        lines.append(f"… and {len(rest)} more, {sum(record.duration for _, record in rest):.3f} s in all")
    axis.set_xlim(0, end)
    axis.set_ylim(max(1, len(drawn)) - 0.4, -0.6)
    _label_rows(axis, drawn)
    axis.set_xlabel("seconds" + (f"; {len(rest)} more spans are not shown" if rest else ""))
    _head(axis, "", not spans, nothing="no spans")
    return Chart(figure, "\n".join(lines))


# -- drawing ------------------------------------------------------------------------------------------


def _draw_bars(axis: Axes, frame: pd.DataFrame, shortest: float) -> None:
    for begin, until, color, label in (
        ("start", "sent", _PALE, "held back"),
        ("sent", "work", _YELLOW, "queued"),
    ):
        waited = frame[frame[until] > frame[begin]]
        if len(waited):
            long = waited[until] - waited[begin]
            axis.barh(waited.index, long, left=waited[begin], height=0.8, color=color, alpha=0.6, label=label)
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


def _label_rows(axis: Axes, spans: Sequence[tuple[int, SpanRecord]]) -> None:
    """Names, indented, to the left of the bars; durations and errors to the right: in no bar's way."""
    names = []
    for depth, record in spans:
        name = record.name if len(record.name) <= _NAME else f"{record.name[: _NAME - 1]}…"
        names.append(f"{'    ' * depth}{_plain(name)}")
    axis.set_yticks(range(len(names)), names, fontsize=8, ha="left")
    canvas = FigureCanvasAgg(cast(Figure, axis.figure))
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]  # matplotlib
    widths = [label.get_window_extent(renderer).width for label in axis.get_yticklabels()]
    axis.tick_params(axis="y", length=0, pad=4 + max(widths, default=0) * 72 / axis.figure.dpi)
    right = axis.secondary_yaxis("right")
    texts = [f"{r.duration:.3f} s{f'  ✗ {_plain(r.error)}' if r.error else ''}" for _, r in spans]
    right.set_yticks(range(len(texts)), texts, fontsize=8)
    right.tick_params(axis="y", length=0)
    right.spines["right"].set_visible(False)
    for label, (_, record) in zip(right.get_yticklabels(), spans, strict=True):
        label.set_color(_RED if record.error else "black")


def _figure(heights: list[float], title: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(dpi=_DPI, figsize=(_WIDTH, sum(heights) + 0.6 + 0.3 * bool(title)), layout="constrained")
    axes = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", alpha=0.3, linewidth=0.5)
        axis.set_axisbelow(True)
    if title:
        figure.suptitle(_plain(title), fontsize=11, x=0.01, ha="left", fontweight="bold")
    return figure, list(axes)


def _head(axis: Axes, name: str, empty: bool, *, nothing: str = "no calls", columns: int = 6) -> None:
    """Above the axes, from the left: the name, and under it the legend, where it covers no data."""
    if empty:
        axis.text(0.5, 0.5, nothing, transform=axis.transAxes, ha="center", va="center", color=_GREY)
        axis.set_xticks([])
        axis.set_yticks([])
    handles, labels = axis.get_legend_handles_labels()
    if handles and not empty:
        place = (0.0, 1.0)
        legend = axis.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=place,
            fontsize=8,
            ncols=columns,
            columnspacing=1.3,
        )
        legend.set_frame_on(False)
    if name:
        axis.set_title(_plain(name), loc="left", fontsize=10, pad=22 if handles else 6)


def _plain(text: str) -> str:
    """Text in which a dollar sign is one, not the beginning of a formula."""
    return text.replace("$", r"\$")


def _tree(spans: Sequence[SpanRecord]) -> list[tuple[int, SpanRecord]]:
    """(depth, span): each span is followed by those in it, in the order of their starts."""
    known = {record.number for record in spans}
    inside: dict[int, list[SpanRecord]] = {}
    for record in spans:
        parent = record.parent if record.parent in known else None
        inside.setdefault(parent or 0, []).append(record)
    ordered = []
    waiting = [(0, record) for record in reversed(inside.get(0, []))]
    while waiting:
        depth, record = waiting.pop()
        ordered.append((depth, record))
        waiting += [(depth + 1, child) for child in reversed(inside.get(record.number, []))]
    return ordered


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


def _seconds(value: float) -> str:
    """To three digits, so that a change of 5 % shows; from a second on, to a hundredth."""
    places = 2 if value >= 1 or value <= 0 else 2 - math.floor(math.log10(value))
    return f"{value:.{places}f} s"


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
    took_text = f"p50 {_seconds(took.median())}, max {_seconds(took.max())}"
    return f"{calls} ({kinds}) in {_seconds(bars['end'].max())}, {peak}, {took_text}"

"""Spans: what lies in what, and which stage takes how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from workbench.charts.style import BLUE, INK, RED, SHORTEST, SKY, Chart, head, panels, plain
from workbench.tracing import SpanRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["waterfall"]

_ROWS = 60  # a waterfall's longest
_NAME = 44  # characters of a span's name


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
    figure, (axis,) = panels([0.5 + 0.22 * max(1, len(drawn))], title)
    lines = [f"waterfall: {len(spans)} spans"]
    for row, (depth, record) in enumerate(drawn):
        start, long = record.start - origin, max(record.duration, end * SHORTEST)
        color = SKY if row + 1 < len(drawn) and drawn[row + 1][0] > depth else BLUE
        (bar,) = axis.barh(row, long, left=min(start, end - long), height=0.72, linewidth=0, color=color)
        if record.error:
            bar.set(facecolor=RED, hatch="////", edgecolor="white")
        failed = f" ✗ {record.error}" if record.error else ""
        lines.append(f"{start:9.3f} {'  ' * depth}{record.name} {record.duration:.3f} s{failed}")
    if rest:
        lines.append(f"… and {len(rest)} more, {sum(record.duration for _, record in rest):.3f} s in all")
    axis.set_xlim(0, end)
    axis.set_ylim(max(1, len(drawn)) - 0.4, -0.6)
    _label_rows(axis, drawn)
    axis.set_xlabel("seconds" + (f"; {len(rest)} more spans are not shown" if rest else ""))
    head(axis, "", not spans, nothing="no spans")
    return Chart(figure, "\n".join(lines))


def _label_rows(axis: Axes, spans: Sequence[tuple[int, SpanRecord]]) -> None:
    """Names, indented, to the left of the bars; durations and errors to the right: in no bar's way."""
    names = []
    for depth, record in spans:
        name = record.name if len(record.name) <= _NAME else f"{record.name[: _NAME - 1]}…"
        names.append(f"{'    ' * depth}{plain(name)}")
    axis.set_yticks(range(len(names)), names, fontsize=8, ha="left")
    canvas = FigureCanvasAgg(cast(Figure, axis.figure))
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]  # matplotlib
    widths = [label.get_window_extent(renderer).width for label in axis.get_yticklabels()]
    axis.tick_params(axis="y", length=0, pad=4 + max(widths, default=0) * 72 / axis.figure.dpi)
    right = axis.secondary_yaxis("right")
    texts = [f"{r.duration:.3f} s{f'  ✗ {plain(r.error)}' if r.error else ''}" for _, r in spans]
    right.set_yticks(range(len(texts)), texts, fontsize=8)
    right.tick_params(axis="y", length=0)
    right.spines["right"].set_visible(False)
    for label, (_, record) in zip(right.get_yticklabels(), spans, strict=True):
        label.set_color(RED if record.error else INK)


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

"""Spans: what lies in what, and which stage takes how long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pandas as pd

from workbench.charts.style import (
    BLUE,
    GREY,
    INK,
    RED,
    SHORTEST,
    SKY,
    Chart,
    head,
    label_rows,
    panels,
    plain,
)
from workbench.tracing import SpanRecord, Trace
from workbench.tracing.paths import critical_path, parts, self_times

__all__ = ["stages", "waterfall"]

_ROWS = 60  # a waterfall's longest
_NAME = 44  # characters of a span's name


def waterfall(trace: Sequence[SpanRecord], *, title: str = "") -> Chart:
    """The spans of a trace, each below the one around it: pale where it has others in it.

    A line under the bars is the critical path: what each outermost span waited for, instant by instant.
    *Self* is the time in which none of a span's parts ran.

    Args:
        trace: what :func:`~workbench.tracing.recording` gave; spans that still run are left out.
        title: above the chart.
    """
    spans = _tree([record for record in trace if record.end is not None])
    drawn, rest = spans[:_ROWS], spans[_ROWS:]
    own, inside, path = self_times(trace), parts(trace), critical_path(trace)
    origin = min((record.start for _, record in spans), default=0.0)
    end = max((record.start + record.duration for _, record in drawn), default=origin) - origin or 1.0
    figure, (axis,) = panels([0.5 + 0.22 * max(1, len(drawn))], title)
    lines, texts = [f"waterfall: {len(spans)} spans"], []
    row_of = {record.number: row for row, (_, record) in enumerate(drawn)}
    for row, (depth, record) in enumerate(drawn):
        start, long = record.start - origin, max(record.duration, end * SHORTEST)
        color = SKY if record.number in inside else BLUE
        (bar,) = axis.barh(row, long, left=min(start, end - long), height=0.72, linewidth=0, color=color)
        if record.error:
            bar.set(facecolor=RED, hatch="////", edgecolor="white")
        free = f", self {own[record.number]:.3f} s" if record.number in inside else ""
        texts.append(f"{record.duration:.3f} s{free}{f'  ✗ {record.error}' if record.error else ''}")
        failed = f" ✗ {record.error}" if record.error else ""
        lines.append(f"{start:9.3f} {'  ' * depth}{record.name} {record.duration:.3f} s{free}{failed}")
    for record, begin, until in path:
        if record.number in row_of:
            y = row_of[record.number] + 0.44
            axis.plot([begin - origin, until - origin], [y, y], color=INK, linewidth=2, solid_capstyle="butt")
    if rest:
        lines.append(f"… and {len(rest)} more, {sum(record.duration for _, record in rest):.3f} s in all")
    if len(spans) > len(inside[0]) == 1:
        lines.append(f"critical path: {_path_text(path)}")
    axis.set_xlim(0, end)
    axis.set_ylim(max(1, len(drawn)) - 0.4, -0.6)
    names = [f"{'    ' * depth}{plain(_short(record.name))}" for depth, record in drawn]
    label_rows(axis, names, [plain(text) for text in texts])
    axis.set_xlabel(
        "seconds; the line under the bars is the critical path"
        + (f"; {len(rest)} more spans are not shown" if rest else "")
    )
    head(axis, "", not spans, nothing="no spans")
    return Chart(figure, "\n".join(lines))


def stages(trace: Trace, *, title: str = "") -> Chart:
    """Each stage over many requests: its durations, and its share of the time that the requests took.

    Stages are spans by their names, in the order in which they first began; requests are the outermost ones.
    A share is the time for which requests waited for that stage and for nothing inside it, so that shares
    add up to the whole.

    Args:
        trace: of many requests.
        title: above the chart.
    """
    frame = trace.to_frame().dropna(subset=["end"])
    groups = frame.sort_values(["start", "number"]).groupby("name", sort=False)
    table = pd.DataFrame({f"p{level}": groups["duration"].quantile(level / 100) for level in (50, 95, 99)})
    whole = frame.loc[frame["parent"].isna(), "duration"].sum() or 1.0
    table["calls"] = groups.size()
    table["share"] = groups["critical"].sum() / whole
    figure, (axis,) = panels([0.5 + 0.28 * max(1, len(table))], title)
    rows = range(len(table))
    for column, color, height in (("p99", GREY, 0.24), ("p95", SKY, 0.48), ("p50", BLUE, 0.72)):
        axis.barh(rows, table[column], height=height, color=color, label=column)
    texts = [f"{row.share:6.1%}" for row in table.itertuples()]
    label_rows(axis, [plain(_short(name)) for name in table.index], texts)
    axis.set_ylim(max(1, len(table)) - 0.4, -0.6)
    axis.set_xlabel("seconds; at the right, the share of the requests' time")
    head(axis, "", table.empty, nothing="no spans")
    width = max([24, *(len(_short(name)) for name in table.index)])
    lines = [f"{'stage':<{width}}{'count':>7}{'p50':>9}{'p95':>9}{'p99':>9}{'share':>8}"]
    for row in table.itertuples():
        times = f"{row.p50:>9.3f}{row.p95:>9.3f}{row.p99:>9.3f}"
        lines.append(f"{_short(row.Index):<{width}}{row.calls:>7}{times}{row.share:>8.1%}")
    return Chart(figure, "\n".join(lines))


def _path_text(path: Sequence[tuple[SpanRecord, float, float]]) -> str:
    """Which names the path went through, for how long each, the longest first."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for record, begin, until in path:
        seconds[record.name] += until - begin
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:6]
    rows = [f"{name} {took:.3f} s" for name, took in longest if took >= 0.0005]
    return ", ".join(rows) or "0.000 s"


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= _NAME else f"{text[: _NAME - 1]}…"


def _tree(spans: Sequence[SpanRecord]) -> list[tuple[int, SpanRecord]]:
    """(depth, span): each span is followed by those in it, in the order of their starts."""
    inside = parts(spans)
    ordered = []
    waiting = [(0, record) for record in reversed(inside[0])]
    while waiting:
        depth, record = waiting.pop()
        ordered.append((depth, record))
        waiting += [(depth + 1, child) for child in reversed(inside.get(record.number, []))]
    return ordered

"""Figures over time, or over a setting."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from workbench.charts.style import GREY, Chart, head, looks, panels, plain

__all__ = ["curves"]

_SHOWN = 6  # points of each line in the digest
_MARKS = "osD^v"


def curves(
    frames: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    title: str = "",
    published: pd.DataFrame | None = None,
    shaded: tuple[float, float] | None = None,
    log: bool = False,
) -> Chart:
    """A line for each column over the index, whose name is that of the axis.

    Args:
        frames: the lines; or several tables by name, which are drawn below each other.
        title: above the chart.
        published: points to be drawn beside the lines: the same columns, at some values of the index.
        shaded: from where to where on the axis something lasted, such as an outage.
        log: whether the vertical axis is logarithmic.
    """
    named = frames if isinstance(frames, Mapping) else {"": frames}
    figure, axes = panels([2.6 if len(named) == 1 else 1.7] * len(named), title)
    lines = []
    for axis, (name, frame) in zip(axes, named.items(), strict=True):
        for column, (color, style), mark in zip(frame.columns, looks(), _MARKS * 4, strict=False):
            label = plain(str(column))
            (line,) = axis.plot(frame.index, frame[column], color=color, ls=style, linewidth=1.8, label=label)
            line.set_marker(mark if len(frame) == 1 else "")  # a point is no line
            if published is not None and column in published:
                points = published[column].dropna()
                axis.plot(points.index, points, mark, color=color, markersize=7, fillstyle="none")
            lines.append(f"{name or title} · {column}: {_digest(frame[column])}")
        if shaded is not None:
            axis.axvspan(*shaded, color=GREY, alpha=0.25, linewidth=0)
        axis.set_yscale("log" if log else "linear")
        if not log:
            axis.set_ylim(bottom=0)
        head(axis, name, frame.empty, nothing="no data")
    axes[-1].set_xlabel(plain(str(next(iter(named.values())).index.name)))
    return Chart(figure, "\n".join(lines))


def _digest(line: pd.Series[float]) -> str:
    """Some of its points, at even distances, the first and the last included."""
    count = min(_SHOWN, len(line))
    shown = sorted({round(step * (len(line) - 1) / max(1, count - 1)) for step in range(count)})
    return ", ".join(f"{line.iloc[i]:.3g} at {line.index[i]:g}" for i in shown) or "no data"

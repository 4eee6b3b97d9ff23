"""Streams over time."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.ticker import MaxNLocator

from workbench.charts.style import Chart, head, looks, panels, plain, seconds
from workbench.streams import StreamMetrics

__all__ = ["arrivals"]


def arrivals(streams: Mapping[str, StreamMetrics], *, title: str = "") -> Chart:
    """How many tokens of each stream its consumer had seen, over time.

    Args:
        streams: measurements by name, such as :class:`~workbench.streams.Metered` makes.
        title: above the chart.
    """
    figure, (axis,) = panels([2.6], title)
    lines = []
    for (name, stream), (color, style) in zip(streams.items(), looks(), strict=False):
        seen = [at - stream.asked for at in stream.tokens]
        counts = range(len(seen) + 1)
        axis.step([0.0, *seen], counts, where="post", color=color, linestyle=style, label=plain(name))
        when = f", the first after {seconds(seen[0])}, the last after {seconds(seen[-1])}" if seen else ""
        lines.append(f"arrivals · {name}: {len(seen)} tokens{when}")
    axis.set_xlabel("seconds since it was asked for")
    axis.set_ylabel("tokens seen")
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    head(axis, "", not any(stream.tokens for stream in streams.values()), columns=4, nothing="no tokens")
    return Chart(figure, "\n".join(lines) or "arrivals: no streams")

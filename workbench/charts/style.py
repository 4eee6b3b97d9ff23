"""The house style, and what every chart is: a picture, and a digest of the data that it drew.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; nothing is said by colour
alone.  A picture has no background of its own, and its ink is grey: it can be read on a light page and on a
dark one.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 8.0  # inches
_DPI = 110
_LABELS = 12  # of a legend, which would leave no room for the data
SHORTEST = 0.004  # of the width: what takes less time is drawn so long, to be seen
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
SKY, YELLOW, GREY = "#56b4e9", "#f0e442", "#999999"
INK = "#757575"  # 4.6:1 on white, 4.1:1 on JupyterLab's dark page
_COLORS, _STYLES = (BLUE, ORANGE, GREEN, PURPLE, SKY), ("-", "--", "-.", ":")  # 20 different lines
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "figure.facecolor": "none",
    "grid.color": INK,
    "hatch.color": "white",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


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


def panels(heights: list[float], title: str) -> tuple[Figure, list[Axes]]:
    """A figure with axes below each other, of these heights in inches."""
    size = (_WIDTH, sum(heights) + 0.6 + 0.3 * bool(title))
    with rc_context(_STYLE):
        figure = Figure(dpi=_DPI, figsize=size, layout="constrained")
        axes = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        if title:
            figure.suptitle(plain(title), fontsize=11, x=0.01, ha="left", fontweight="bold")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="x", alpha=0.3, linewidth=0.5)
        axis.set_axisbelow(True)
    return figure, list(axes)


def head(axis: Axes, name: str, empty: bool, *, nothing: str = "no calls", columns: int = 6) -> None:
    """Above the axes, from the left: the name, and under it the legend, where it covers no data."""
    if empty:
        axis.text(0.5, 0.5, nothing, transform=axis.transAxes, ha="center", va="center", color=INK)
        axis.set_xticks([])
        axis.set_yticks([])
    handles, labels = axis.get_legend_handles_labels()
    if handles and not empty:
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": columns}
        if (rest := len(labels) - _LABELS) > 1:
            handles, labels = handles[:_LABELS], [*labels[: _LABELS - 1], f"… {rest + 1} more"]
        legend = axis.legend(handles, labels, **place, fontsize=8, labelcolor=INK, columnspacing=1.3)
        legend.set_frame_on(False)
    if name:
        axis.set_title(plain(name), loc="left", fontsize=10, pad=22 if handles else 6)


def label_rows(axis: Axes, names: Sequence[str], texts: Sequence[str]) -> Any:
    """Names to the left of horizontal bars, texts to the right, in no bar's way; gives the axis of these."""
    axis.set_yticks(range(len(names)), names, fontsize=8, ha="left")
    canvas = FigureCanvasAgg(cast(Figure, axis.figure))
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]  # matplotlib
    widths = [label.get_window_extent(renderer).width for label in axis.get_yticklabels()]
    axis.tick_params(axis="y", length=0, pad=4 + max(widths, default=0) * 72 / axis.figure.dpi)
    right: Any = axis.secondary_yaxis("right")
    right.set_yticks(range(len(texts)), texts, fontsize=8, color=INK)
    right.tick_params(axis="y", length=0)
    right.spines["right"].set_visible(False)
    return right


def looks() -> Iterator[tuple[str, str]]:
    """Colours and line styles, for one line after another."""
    return zip(itertools.cycle(_COLORS), itertools.cycle(_STYLES), strict=False)


def plain(text: str) -> str:
    """Text in which a dollar sign is one, not the beginning of a formula."""
    return text.replace("$", r"\$")


def seconds(value: float) -> str:
    """To three digits, so that a change of 5 % shows; from a second on, to a hundredth."""
    places = 2 if value >= 1 or value <= 0 else 2 - math.floor(math.log10(value))
    return f"{value:.{places}f} s"

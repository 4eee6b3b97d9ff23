"""Charts of what was practised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from workbench.charts import Chart
from workbench.practice.store import Attempt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["history", "progress"]

_BLUE, _RED = "#0072b2", "#d55e00"


def progress(attempts: Sequence[Attempt]) -> Chart:
    """The best score of each task that was tried."""
    best = dict.fromkeys(sorted({each.slug for each in attempts}), 0)
    for each in attempts:
        best[each.slug] = max(best[each.slug], each.score)
    figure, axes = _axes(0.8 + 0.28 * len(best))
    axes.barh(list(best), list(best.values()), color=[_BLUE if score else _RED for score in best.values()])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("best score")
    solved = sum(any(each.passed for each in attempts if each.slug == slug) for slug in best)
    return Chart(figure, f"progress: {solved} of {len(best)} tasks that were tried are solved")


def history(attempts: Sequence[Attempt]) -> Chart:
    """The score of each attempt, in their order; a failed one is a cross at 0."""
    figure, axes = _axes(2.2)
    for passed, color, marker in ((True, _BLUE, "o"), (False, _RED, "x")):
        chosen = [each for each in attempts if each.passed is passed]
        times: Any = [each.at for each in chosen]  # matplotlib takes dates, its stubs do not
        scores = [each.score for each in chosen]
        axes.scatter(times, scores, c=color, marker=marker, label="passed" if passed else "failed")
    axes.set_ylim(-5, 105)
    axes.set_ylabel("score")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8)
    figure.autofmt_xdate()
    passes = sum(each.passed for each in attempts)
    return Chart(figure, f"history: {len(attempts)} attempts, {passes} passed")


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(dpi=110, figsize=(8, height + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes

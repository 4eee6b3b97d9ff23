"""What something costs others: who spends the tokens and the money, and what holds up the event loop."""

from __future__ import annotations

from matplotlib.ticker import EngFormatter

from workbench.charts.style import (
    BLUE,
    ORANGE,
    RED,
    SKY,
    Chart,
    head,
    label_rows,
    panels,
    plain,
    seconds,
)
from workbench.ledger import Ledger
from workbench.profiling import LoopLag

__all__ = ["loop_lag", "spending"]

_ROWS = 12


def spending(ledger: Ledger, *, by: str = "caller", title: str = "") -> Chart:
    """The tokens and the cost of each caller, the most expensive first.

    Args:
        ledger: who spent what.
        by: any column of :meth:`workbench.ledger.Ledger.by`.
        title: above the chart.
    """
    table = ledger.by(by)
    shown, rest = table.head(_ROWS), len(table) - _ROWS
    figure, (axis,) = panels([0.5 + 0.28 * max(1, len(shown))], title)
    rows, cached = range(len(shown)), shown["cached_tokens"]
    fresh, output = shown["input_tokens"] - cached, shown["output_tokens"]
    axis.barh(rows, cached, height=0.72, color=SKY, label="input, cached")
    axis.barh(rows, fresh, left=cached, height=0.72, color=BLUE, label="input")
    axis.barh(
        rows,
        output,
        left=cached + fresh,
        height=0.72,
        color=ORANGE,
        hatch="////",
        edgecolor="white",
        linewidth=0,
        label="output",
    )
    texts = [
        f"\\${row.cost:.4f}  {row.share:5.1%}  {row.calls} call{'' if row.calls == 1 else 's'}"
        for row in shown.itertuples()
    ]
    label_rows(axis, [plain(str(name) or "(none)") for name in shown.index], texts)
    axis.set_ylim(max(1, len(shown)) - 0.4, -0.6)
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlabel("tokens" + (f"; {rest} more are not shown" if rest > 0 else ""))
    head(axis, "", table.empty)
    lines = [f"spending by {by}: {len(ledger)} calls, ${ledger.cost:.4f}"]
    for name, row in zip(shown.index, shown.itertuples(), strict=True):
        tokens = f"{row.input_tokens:>9} in ({row.cached_tokens} cached) {row.output_tokens:>8} out"
        money = f"${row.cost:.4f} {row.share:6.1%}"
        lines.append(f"{str(name) or '(none)':<20}{row.calls:>6} calls {tokens}  {money}")
    return Chart(figure, "\n".join(lines))


def loop_lag(lag: LoopLag, *, title: str = "") -> Chart:
    """How late the event loop was over time, with the names of what held it.

    Args:
        lag: the monitor.
        title: above the chart.
    """
    figure, (axis,) = panels([2.2], title)
    if lag.samples:
        times, late = zip(*lag.samples, strict=True)
        axis.vlines(times, 0, late, color=BLUE, linewidth=1.5)
    longest_last = sorted(lag.blocks, key=lambda block: block.seconds)
    worst = {block.function: block for block in longest_last}.values()  # of each function
    for number, block in enumerate(sorted(worst, key=lambda block: -block.seconds), 1):
        label = plain(f"{block.function or '(unseen)'} {seconds(block.seconds)}")
        above = block.seconds + 0.1 * lag.worst
        axis.plot(block.at, above, ls="", marker=f"${number}$", clip_on=False, color=RED, label=label)
    axis.set_xlabel("seconds")
    axis.set_ylabel("seconds late")
    axis.set_ylim(0, 1.25 * lag.worst or 1.0)
    axis.set_xlim(left=0)
    axis.margins(x=0.15)
    head(axis, "", not lag.samples, columns=4, nothing="the loop was never late")
    lines = [f"loop lag: {len(lag.blocks)} blocks, worst {seconds(lag.worst)}"]
    for block in lag.blocks[:_ROWS]:
        name = f"{block.function or '(unseen)'} ({block.where})"
        lines.append(f"{block.at:9.3f} {name} {seconds(block.seconds)}")
    return Chart(figure, "\n".join(lines))

"""What is kept of a board: a table in plain text, and one in HTML that opens each answer.

Rule of this file: the HTML says everything without its style, which many viewers strip, and without scripts;
and the same panes give the same bytes.  Its rows are short: a page gets them beside all texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from workbench.progress import LOOKS
from workbench.widgets.pane import Pane

__all__ = ["COLUMNS", "WORDS", "html", "row", "summary", "table"]

COLUMNS = ("state", "tokens", "TTFT s", "tokens/s", "stream")
WORDS = (0, 4)  # which of them are words; the others are figures
_TITLE = 60  # characters
_ERROR = 120
_RIGHT = " align=right"  # this old attribute stays where styles do not
_STYLE = """\
.wb-streams :is(td,th){vertical-align:top!important}
.wb-streams :is(caption,:first-child,:last-child){text-align:left!important}
.wb-streams pre{font:inherit!important;background:none!important;max-width:70ch;white-space:pre-wrap;\
word-break:normal!important}"""  # JupyterLab's own style for tables and <pre> is stronger otherwise


def summary(panes: Sequence[Pane], now: float) -> str:
    """All of them in one line, at `now` seconds since the board was opened."""
    counts = Counter(pane.state for pane in panes)
    states = ", ".join(f"{counts[state]} {state}" for state in LOOKS if counts[state])
    tokens = sum(pane.tokens for pane in panes)
    return (
        f"{len(panes)} stream{'s' * (len(panes) != 1)}: {states or 'none'}; {tokens:,} tokens in {now:.1f} s"
    )


def row(pane: Pane) -> list[str]:
    """The cells of one pane, as :data:`COLUMNS` names them."""
    return [
        f"{LOOKS[pane.state][0]} {pane.state}",
        f"{pane.tokens:,}",
        "" if pane.ttft is None else f"{pane.ttft:.2f}",
        "" if pane.rate is None else f"{pane.rate:.1f}",
        _short(pane.title, _TITLE),
    ]


def table(panes: Sequence[Pane], now: float) -> str:
    """A table in plain text."""
    rows = [list(COLUMNS), *map(row, panes)]
    for cells, pane in zip(rows[1:], panes, strict=True):
        if pane.error:
            cells[-1] += f"  {_short(pane.error, _ERROR)}"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [summary(panes, now)]
    for cells in rows:
        padded = (
            cell.ljust(width) if at in WORDS else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def html(panes: Sequence[Pane], now: float) -> str:
    """A table in HTML; each stream's title opens its text."""
    rows = "\n".join(_tr("td", _cells(pane, opened=len(panes) == 1)) for pane in panes)
    return (
        f"<style>\n{_STYLE}\n</style>\n"
        f"<table class=wb-streams>\n<caption>{escape(summary(panes, now))}</caption>\n"
        f"<thead>{_tr('th', map(_unbroken, COLUMNS))}</thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _cells(pane: Pane, *, opened: bool) -> list[str]:
    state, *figures, title = map(escape, row(pane))
    state = f'<span style="color:{LOOKS[pane.state][1]}">{_unbroken(state)}</span>'
    error = f"<br>{escape(pane.error)}" if pane.error else ""
    if pane.pieces:
        # A parser drops a line feed that comes first, and takes a carriage return for one.
        text = ("\n" + escape(pane.text, quote=False)).replace("\r", "&#13;")
        summary = f"<details{' open' * opened}><summary>{title}</summary>"
        title = f"{summary}<pre>{text}</pre></details>"
        error = error.removeprefix("<br>")
    return [state, *figures, title + error]


def _tr(tag: str, cells: Iterable[str]) -> str:
    aligned = (f"<{tag}{'' if at in WORDS else _RIGHT}>{cell}</{tag}>" for at, cell in enumerate(cells))
    return f"<tr>{''.join(aligned)}</tr>"


def _unbroken(text: str) -> str:
    return text.replace(" ", "&nbsp;")


def _short(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"

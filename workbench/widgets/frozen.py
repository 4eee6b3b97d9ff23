"""What is kept of a board: a table in plain text, and one in HTML that opens each answer.

Rule of this file: the HTML says everything without styles and scripts, which many viewers strip, and the
same panes give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from workbench.progress import LOOKS
from workbench.widgets.pane import Pane

__all__ = ["COLUMNS", "html", "row", "summary", "table"]

COLUMNS = ("stream", "state", "tokens", "TTFT s", "tokens/s")
_TITLE = 60  # characters
_ERROR = 120
_LEFT = 'style="text-align:left"'  # JupyterLab's tables are aligned to the right
_ALIGN = (_LEFT, _LEFT, *['align="right"'] * 3)  # which also stays where styles do not
_ANSWER = "white-space:pre-wrap;text-align:left;max-width:70ch"


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
        _short(pane.title, _TITLE),
        f"{LOOKS[pane.state][0]} {pane.state}",
        f"{pane.tokens:,}",
        "" if pane.ttft is None else f"{pane.ttft:.2f}",
        "" if pane.rate is None else f"{pane.rate:.1f}",
    ]


def table(panes: Sequence[Pane], now: float) -> str:
    """A table in plain text."""
    rows = [list(COLUMNS), *map(row, panes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = [
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in rows
    ]
    errors = ["", *(f"  {_short(pane.error, _ERROR)}" if pane.error else "" for pane in panes)]
    lines = [f"{line}{error}".rstrip() for line, error in zip(aligned, errors, strict=True)]
    return "\n".join([summary(panes, now), *lines])


def html(panes: Sequence[Pane], now: float) -> str:
    """A table in HTML; each stream's title opens its text."""
    rows = "\n".join(_tr("td", _cells(pane, opened=len(panes) == 1)) for pane in panes)
    return (
        f"<table>\n<caption {_LEFT}>{escape(summary(panes, now))}</caption>\n"
        f"<thead>{_tr('th', COLUMNS)}</thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _cells(pane: Pane, *, opened: bool) -> list[str]:
    title, state, *numbers = map(escape, row(pane))
    if pane.pieces:
        # A parser drops a line feed that comes first, and takes a carriage return for one.
        text = ("\n" + escape(pane.text, quote=False)).replace("\r", "&#13;")
        summary = f"<details{' open' * opened}><summary>{title}</summary>"
        title = f'{summary}<pre style="{_ANSWER}">{text}</pre></details>'
    state = f'<span style="color:{LOOKS[pane.state][1]}">{state}</span>'
    if pane.error:
        state += f"<br>{escape(pane.error)}"
    return [title, state, *numbers]


def _tr(tag: str, cells: Sequence[str]) -> str:
    columns = zip(_ALIGN, cells, strict=True)
    return f"<tr>{''.join(f'<{tag} {align}>{cell}</{tag}>' for align, cell in columns)}</tr>"


def _short(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"

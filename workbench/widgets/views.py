"""Where a board is shown: a page or a terminal, live or only at the end.

Rule of this file: what is stored with a notebook is the frozen form.  Where nobody looks on, as under
nbconvert or nbval, and in virtual time, it is the only thing that is shown, once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from workbench.clock import virtual_loop
from workbench.progress import State, kernel
from workbench.widgets.frames import Frames, Packer
from workbench.widgets.frozen import COLUMNS, WORDS, html, row, summary, table
from workbench.widgets.pane import Pane

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["View", "choose", "frozen", "watched"]

_SUMMARY_EACH = 4  # ticks, where no state changes
_SCREEN_EACH = 2  # ticks: a terminal takes longer
_FIGURES, _LEAST = 38, 8  # characters of a line: the figures of a stream, its title at least
_TAIL = 200  # characters of an answer, of which a terminal shows as many as it has room for


class View:
    """A place where a board is shown; times are seconds since the board was opened."""

    live = False

    def __init__(self, panes: Sequence[Pane]) -> None:
        self._panes = panes

    def show(self) -> None:
        """Show it here, once more."""

    def tick(self, now: float) -> None:
        """Show what has changed."""

    def want(self, indices: Iterable[int] | None) -> None:
        """Show these panes anew at the next tick, or all."""

    def end(self, now: float) -> None:
        """Show the final state, which stays."""

    def close(self) -> None:
        """The board is gone."""


def choose(panes: Sequence[Pane], hear: Callable[[Any], None]) -> View:
    """The view for where this code runs; `hear` gets what a page says."""
    on_the_wall_clock = virtual_loop() is None
    if (jupyter := kernel()) is not None:
        live = on_the_wall_clock and watched(jupyter)
        return LivePage(panes, hear) if live else StillPage(panes)
    if sys.stderr is None or not sys.stderr.isatty():
        return View(panes)
    return Terminal(panes, live=on_the_wall_clock)


def frozen(panes: Sequence[Pane], now: float) -> dict[str, str]:
    """What is stored with a notebook."""
    return {"text/html": html(panes, now), "text/plain": table(panes, now)}


def watched(jupyter: Any) -> bool:
    """Whether somebody looks on: who asked for this cell said whether a person can answer an input()."""
    return bool(jupyter.get_parent("shell").get("content", {}).get("allow_stdin"))


class StillPage(View):
    """An output of a notebook, made when all has ended."""

    def end(self, now: float) -> None:
        """Show what is stored."""
        from IPython.display import display

        display(frozen(self._panes, now), raw=True)  # type: ignore[no-untyped-call]  # IPython


class LivePage(View):
    """One widget, wherever and however often it is shown, that becomes plain HTML in the end."""

    live = True

    def __init__(self, panes: Sequence[Pane], hear: Callable[[Any], None]) -> None:
        from workbench.widgets.page import BoardPage

        super().__init__(panes)
        self._frames, self._packer, self._page = Frames(panes), Packer(), BoardPage(hear)
        self._handles: list[Any] = []
        self._states: list[State] = []
        self._ticks, self._asked = 0, False

    def show(self) -> None:
        """Show the widget in the current cell."""
        self._handles.append(self._page.show("a live board of streams, which this viewer cannot show"))

    def tick(self, now: float) -> None:
        """Hear what the page says, and tell it what has changed."""
        self._page.listen()
        message: dict[str, Any] = {**(self._frames.next() or {})}
        states = [pane.state for pane in self._panes]
        if states != self._states or self._ticks % _SUMMARY_EACH == 0:
            self._states = states
            message |= {"sum": self._frames.sum(), "summary": summary(self._panes, now)}
        self._ticks += 1
        if message:
            place, packed = self._packer.pack(message)
            self._page.tell({"place": place}, packed)

    def want(self, indices: Iterable[int] | None) -> None:
        """Send keyframes of these panes, or of all, at the next tick."""
        self._frames.want(indices)
        self._packer.restart()
        self._ticks, self._asked = 0, True

    def end(self, now: float) -> None:
        """Put what is stored in the widget's place; a page that was loaded meanwhile keeps the widget."""
        self._ticks = 0
        self.tick(now)
        for handle in self._handles:
            handle.update(frozen(self._panes, now), raw=True)

    def close(self) -> None:
        """Give the widget up, unless some page came late and has nothing else."""
        if not self._asked:
            self._page.close()


class Terminal(View):
    """A table on standard error."""

    def __init__(self, panes: Sequence[Pane], *, live: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(panes)
        self.live = live
        self._console = Console(file=sys.stderr)
        self._screen = Live(console=self._console, auto_refresh=False, transient=True)
        self._ticks = 0

    def tick(self, now: float) -> None:
        """Draw the table, with the end of each answer."""
        self._screen.start()
        if self._ticks % _SCREEN_EACH == 0:
            self._screen.update(self._table(now, tails=True), refresh=True)
        self._ticks += 1

    def end(self, now: float) -> None:
        """Draw the table, which stays."""
        self._screen.update("")  # or what is higher than the screen would be drawn whole, and stay
        self._screen.stop()
        self._console.print(self._table(now, tails=False))

    def _table(self, now: float, *, tails: bool) -> Table:
        from rich.table import Table
        from rich.text import Text

        drawn = Table(title=summary(self._panes, now), title_justify="left", expand=True, box=None)
        *figures, title = COLUMNS
        for at, name in enumerate(figures):
            drawn.add_column(name, justify="left" if at in WORDS else "right", no_wrap=True)
        room = self._console.width - _FIGURES
        drawn.add_column(title, no_wrap=True, max_width=max(room // 2, _LEAST))
        drawn.add_column("", ratio=1, no_wrap=True, overflow="ellipsis")
        for pane in self._panes:
            tail = pane.text[-_TAIL:] if tails and pane.state == "running" else pane.error
            drawn.add_row(*map(Text, row(pane)), Text(" ".join(tail.split()), style="dim"))
        return drawn

"""How far a fan-out is: a bar in the terminal, a row of cells in a notebook.

In virtual time nothing is shown: the run takes no time, and stored outputs stay the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from html import escape
from typing import Any, Literal, Protocol

from workbench.clock import virtual_loop

__all__ = ["LOOKS", "Progress", "State", "kernel", "on_pause", "pause"]

_FRAME = 0.1  # seconds between two refreshes at least; also how soon the loop sees an interrupt
_IDLE = 1.0  # seconds between two refreshes where nothing but the time has changed
_CELLS = 200  # items that are shown one by one
State = Literal["queued", "running", "retrying", "done", "failed", "cancelled"]
LOOKS: dict[State, tuple[str, str]] = {  # sign, colour; JupyterLab's own, which follow its theme
    "queued": ("·", "var(--jp-ui-font-color2, #767676)"),
    "running": ("▶", "var(--jp-info-color1, #0072b2)"),
    "retrying": ("↻", "var(--jp-warn-color1, #e69f00)"),
    "done": ("✓", "var(--jp-success-color1, #009e73)"),
    "failed": ("✗", "var(--jp-error-color1, #d55e00)"),
    "cancelled": ("–", "var(--jp-ui-font-color2, #767676)"),
}
on_pause: ContextVar[Callable[[Exception], contextlib.AbstractContextManager[None]] | None] = ContextVar(
    "on_pause", default=None
)  # who shows a call sets it, around the call
_BAD: tuple[State, ...] = ("failed", "cancelled")


class View(Protocol):
    """Where progress is shown."""

    def show(self, progress: Progress, *, final: bool) -> None:
        """Show the state as it is now."""


class Progress:
    """Shows the states of `total` items (None: unknown) while they run, from within an event loop.

    Args:
        total: how many there are.
    """

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.counts: Counter[State] = Counter()
        self._states: list[State] = []
        self._started = self._shown = time.monotonic()
        self._changed = False
        self._timer: asyncio.TimerHandle | None = None
        self._view = _view() if virtual_loop() is None else None
        if self._view is not None:
            self._timer = asyncio.get_running_loop().call_later(_FRAME, self._tick)

    def start(self, index: int) -> None:
        """The item of that index (they start in order) runs."""
        self._states.append("running")
        self.counts["running"] += 1
        self._changed = True

    def finish(self, index: int, state: State) -> None:
        """The item of that index has ended."""
        self._states[index] = state
        self.counts["running"] -= 1
        self.counts[state] += 1
        self._changed = True

    def close(self) -> None:
        """Show the final state, which stays."""
        if self._timer is not None:
            self._timer.cancel()
        if self._view is not None:
            self._view.show(self, final=True)
            self._view = None

    @property
    def ended(self) -> int:
        """How many items have ended, in whatever way."""
        return self.counts["done"] + self.counts["failed"] + self.counts["cancelled"]

    def text(self) -> str:
        """The state in one line."""
        of = "" if self.total is None else f"/{self.total}"
        parts = [f"{self.ended}{of} done"]
        if self.counts["running"]:
            parts.append(f"{self.counts['running']} in flight")
        parts += [f"{self.counts[state]} {state}" for state in _BAD if self.counts[state]]
        return ", ".join([*parts, f"{time.monotonic() - self._started:.1f} s"])

    def states(self) -> list[State]:
        """The state of each item, as far as they are shown one by one."""
        rest: list[State] = ["queued"] * (min(self.total or 0, _CELLS) - len(self._states))
        return self._states[:_CELLS] + rest

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_FRAME, self._tick)
        if self._view is not None and (self._changed or time.monotonic() - self._shown >= _IDLE):
            self._changed, self._shown = False, time.monotonic()
            self._view.show(self, final=False)


def pause(error: Exception) -> contextlib.AbstractContextManager[None]:
    """Around the wait between an attempt that ended with `error` and the next: who shows the call hears."""
    hears = on_pause.get()
    return contextlib.nullcontext() if hears is None else hears(error)


def kernel() -> Any:
    """The Jupyter kernel that this code runs in; None where there is none."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else getattr(ipython.get_ipython(), "kernel", None)


def _view() -> View | None:
    if kernel() is not None:
        return _NotebookView()
    return _TerminalView() if sys.stderr is not None and sys.stderr.isatty() else None


def _page(progress: Progress) -> str:
    """One line for all, a sign for each; a screen reader gets the line."""
    cells = "".join(
        f'<span title="{i}: {state}" style="color:{LOOKS[state][1]}">{LOOKS[state][0]}</span>'
        for i, state in enumerate(progress.states())
    )
    more = max(progress.total or 0, len(progress._states)) - _CELLS
    tail = f" … {more} more" if more > 0 else ""
    text = escape(progress.text())
    value = f'aria-valuenow="{progress.ended}"' + (
        "" if progress.total is None else f' aria-valuemin="0" aria-valuemax="{progress.total}"'
    )
    style = "color:var(--jp-content-font-color1, inherit);font-family:var(--jp-code-font-family, monospace)"
    return (
        f'<div role="progressbar" aria-label="calls" aria-valuetext="{text}" {value} style="{style}">'
        f'<div>{text}</div><div aria-hidden="true" style="letter-spacing:.15em;overflow-wrap:anywhere">'
        f"{cells}{tail}</div></div>"
    )


class _NotebookView:
    """One output, updated in place; the last state is saved with the notebook."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, progress: Progress, *, final: bool) -> None:
        from IPython.display import DisplayHandle

        bundle = {"text/html": _page(progress), "text/plain": progress.text()}
        if self._handle is None:
            self._handle = DisplayHandle()  # type: ignore[no-untyped-call]  # IPython
            self._handle.display(bundle, raw=True)
        else:
            self._handle.update(bundle, raw=True)


class _TerminalView:
    """tqdm's bar on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None

    def show(self, progress: Progress, *, final: bool) -> None:
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=progress.total, file=sys.stderr)
        self._bar.n = progress.ended
        self._bar.set_postfix({name: progress.counts[name] for name in ("running", "failed")})
        if final:
            self._bar.close()

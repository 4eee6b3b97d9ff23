"""How far a fan-out is: a bar in the terminal, a row of cells in a notebook.

In virtual time nothing is shown: the run takes no time, and stored outputs stay the same.
"""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any

from workbench.clock import virtual_loop

__all__ = ["Progress"]

_FRAME = 0.1  # seconds between two refreshes
_CELLS = 200  # items that are shown one by one
_SIGNS = {"waiting": "·", "running": "▶", "done": "✓", "failed": "✗"}
_COLORS = {
    "waiting": "var(--jp-border-color2, #e0e0e0)",
    "running": "var(--jp-info-color1, #0072b2)",
    "done": "var(--jp-success-color1, #009e73)",
    "failed": "var(--jp-error-color1, #d55e00)",
}


class Progress:
    """Shows the states of `total` items (None: unknown) while they run.

    Args:
        total: how many there are.
    """

    def __init__(self, total: int | None) -> None:
        self.total = total
        self._states: list[str] = []
        self._counts = dict.fromkeys(_SIGNS, 0)
        self._started = self._last = time.monotonic()
        self._view = _view() if virtual_loop() is None else None

    def start(self, index: int) -> None:
        """The item of that index (they start in order) runs."""
        self._states.append("running")
        self._counts["running"] += 1
        self._refresh()

    def finish(self, index: int, *, failed: bool) -> None:
        """The item of that index has ended."""
        state = "failed" if failed else "done"
        self._states[index] = state
        self._counts["running"] -= 1
        self._counts[state] += 1
        self._refresh()

    def close(self) -> None:
        """Show the final state, which stays."""
        if self._view is not None:
            self._view.show(self, final=True)
            self._view = None

    def text(self) -> str:
        """The state in one line."""
        counts = self._counts
        ended = counts["done"] + counts["failed"]
        of = "" if self.total is None else f"/{self.total}"
        failed = f", {counts['failed']} failed" if counts["failed"] else ""
        running = f", {counts['running']} in flight" if counts["running"] else ""
        return f"{ended}{of} done{running}{failed}, {time.monotonic() - self._started:.1f} s"

    def states(self) -> list[str]:
        """The state of each item, as far as they are shown one by one."""
        waiting = 0 if self.total is None else self.total - len(self._states)
        return (self._states + ["waiting"] * waiting)[:_CELLS]

    def _refresh(self) -> None:
        if self._view is not None and time.monotonic() - self._last >= _FRAME:
            self._last = time.monotonic()
            self._view.show(self, final=False)


def _view() -> _NotebookView | _TerminalView | None:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is not None and getattr(shell, "kernel", None) is not None:
        return _NotebookView()
    return _TerminalView() if sys.stderr.isatty() else None


class _NotebookView:
    """One output, updated in place; the last state is saved with the notebook."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, progress: Progress, *, final: bool) -> None:
        from IPython.display import DisplayHandle

        cells = "".join(
            f'<span title="{i}: {state}" style="color:{_COLORS[state]}">{_SIGNS[state]}</span>'
            for i, state in enumerate(progress.states())
        )
        text = progress.text()
        page = (
            f'<div style="font-family:var(--jp-code-font-family,monospace)"><div role="status">'
            f'{escape(text)}</div><div aria-hidden="true" style="letter-spacing:.15em;'
            f'overflow-wrap:anywhere">{cells}</div></div>'
        )
        bundle = {"text/html": page, "text/plain": text}
        if self._handle is None:
            self._handle = DisplayHandle()  # type: ignore[no-untyped-call]  # IPython
            self._handle.display(bundle, raw=True)
        else:
            self._handle.update(bundle, raw=True)


class _TerminalView:
    """tqdm's bar on standard error."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar: Any = None
        self._tqdm = tqdm

    def show(self, progress: Progress, *, final: bool) -> None:
        if self._bar is None:
            self._bar = self._tqdm(total=progress.total, file=sys.stderr)
        counts = progress._counts
        self._bar.n = counts["done"] + counts["failed"]
        self._bar.set_postfix({name: counts[name] for name in ("running", "failed")})
        if final:
            self._bar.close()

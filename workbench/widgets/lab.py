"""A breaker's lab: sliders that change a run while it is looked at, and charts that move.

Rule of this file: what is set counts from the next slice of simulated time on, whoever sets it.  A page only
slows the run down, to be looked at: without one it takes no time, and comes to the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.charts import Chart
from workbench.charts.breaker import breaker_run
from workbench.clock import virtual_loop
from workbench.errors import ConfigurationError
from workbench.experiments.live import COLUMNS, CONTROLS, POLICIES, SLICE, STATES, BreakerPlay, checked
from workbench.progress import kernel
from workbench.widgets.views import watched

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BreakerLab"]

_FRAME = 0.05  # seconds between two slices; also how soon the loop sees an interrupt
_CONFIG = {
    "controls": [[name, *control] for name, control in CONTROLS.items()],
    "policies": list(POLICIES),
    "states": [state.value for state in STATES],
    "columns": list(COLUMNS),
    "slice": SLICE,
}


class BreakerLab:
    """A provider that fails and slows down as you tell it, and calls that a circuit breaker guards::

        lab = wb.BreakerLab(seed=5, changes={20: {"failure_rate": 0.9}, 60: {"failure_rate": 0.05}})
        await lab.run(120)

    In a notebook it is one widget, in which a second shows five simulated ones: sliders for `failure_rate`,
    `latency` (seconds, the median), `threshold` (the failure rate at which the breaker opens), `window`
    (calls) and `open_time` (seconds), the `policy`, and a button that stops.  When it has ended it becomes a
    chart; in virtual time, and where nobody looks on, there is only that, at once.  The same seed with the
    same changes gives the same chart.

    Args:
        seed: of the calls, their latencies and failures.
        rate: calls a second that come, a Poisson process.
        changes: from which simulated second on which settings count.
        settings: those of the sliders, and `policy`: "no policy", "retry", "breaker" or "retry + breaker".

    Raises:
        ConfigurationError: a setting is unknown or out of its range.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        rate: float = 10.0,
        changes: Mapping[float, Mapping[str, float | str]] | None = None,
        **settings: float | str,
    ) -> None:
        if not 0 < rate <= 1000:
            raise ConfigurationError(f"rate is a number of calls a second, at most 1000, got {rate!r}")
        self._seed, self._rate, self._settings = seed, rate, checked(settings)
        self._changes = sorted((at, checked(change)) for at, change in (changes or {}).items())
        self._heard: deque[Any] = deque()  # from any thread
        self._play = self._new(SLICE)
        self._running = self._stopped = False

    async def run(self, seconds: float = 120.0) -> None:
        """Run from the beginning, and show it, until so many simulated seconds are over or it is stopped.

        Args:
            seconds: simulated ones.

        Raises:
            ConfigurationError: `seconds` is not a positive number.
            RuntimeError: it runs already.
        """
        if not 0 < seconds < math.inf:
            raise ConfigurationError(f"seconds is a positive number, got {seconds!r}")
        if self._running:
            raise RuntimeError("this lab runs already: wait for its end, or make another")
        self._play, self._running, self._stopped = self._new(seconds), True, False
        self._heard.clear()
        jupyter = kernel()
        live = jupyter is not None and virtual_loop() is None and watched(jupyter)
        view = _LiveView(self._play, self._heard.append) if live else None
        try:
            await self._slices(math.ceil(seconds / SLICE), view)
        finally:
            self._running = False
            if view is not None:
                view.end(self.chart())
            elif jupyter is not None:
                from IPython.display import display

                display(self.chart())  # type: ignore[no-untyped-call]  # IPython

    def to_frame(self) -> pd.DataFrame:
        """A row for each quarter of a simulated second: the state, what was in flight, how calls ended."""
        return self._play.to_frame()

    def chart(self) -> Chart:
        """The last run as a chart, whose text is a digest of it."""
        return breaker_run(self._play.to_frame(), repr(self), title="A breaker at work")

    def __repr__(self) -> str:
        frame, play = self.to_frame(), self._play
        sums = ", ".join(f"{frame[name].sum()} {name}" for name in ("ok", "failed", "refused", "requests"))
        shares = ", ".join(
            f"{name} {share:.1%}" for name, share in frame["state"].value_counts(normalize=True).items()
        )
        changes = [f"  {at:g} s: set {_said(change)}" for at, change in play.changes]
        moves = [f"  {each.at:.1f} s: {each.state.value}, {each.detail}" for each in play.transitions]
        lines = sorted(changes + moves, key=lambda line: float(line.split()[0]))
        most = frame["in flight"].max() if len(frame) else 0
        first = f"breaker lab: {play.slices * SLICE:g} s, seed {self._seed}, {self._rate:g} calls/s"
        return "\n".join([first, f"calls: {sums}; at most {most} in flight", f"time: {shares}", *lines])

    def _new(self, seconds: float) -> BreakerPlay:
        return BreakerPlay(self._settings, rate=self._rate, seconds=seconds, seed=self._seed)

    async def _slices(self, count: int, view: _LiveView | None) -> None:
        loop, play, script = asyncio.get_running_loop(), self._play, deque(self._changes)
        due = loop.time()
        while play.slices < count and not self._stopped:
            while script and script[0][0] <= play.slices * SLICE:
                play.change(script.popleft()[1])
            while self._heard:
                self._heed(self._heard.popleft(), view)
            play.step()
            if view is None:
                await asyncio.sleep(0)
            else:
                view.tick()
                due = max(due + _FRAME, loop.time())  # what was late is not made up for
                await asyncio.sleep(due - loop.time())

    def _heed(self, message: Any, view: _LiveView | None) -> None:
        match message:
            case {"stop": True}:
                self._stopped = True
            case {"set": dict() as settings}:
                with contextlib.suppress(ConfigurationError):  # a page that says nonsense
                    self._play.change(settings)
            case {"want": int() as first} if view is not None and first >= 0:
                view.want(first)


class _LiveView:
    """The widget: tells its pages what they do not know yet."""

    def __init__(self, play: BreakerPlay, hear: Any) -> None:
        from workbench.widgets.page import LabPage

        self._play, self._page, self._sent = play, LabPage(hear, config=_CONFIG), 0
        self._told: dict[str, Any] | None = None
        self._handle = self._page.show("a live lab, which this viewer cannot show")

    def want(self, first: int) -> None:
        """Tell everything from that row on."""
        self._sent, self._told = min(self._sent, first), None

    def tick(self) -> None:
        """Tell the rows that have come, and the settings and the last transition, if they are new."""
        self._page.listen()
        play = self._play
        last = play.transitions[-1] if play.transitions else None
        said = f"{last.at:.1f} s: {last.state.value}, {last.detail}" if last else ""
        news = {"settings": dict(play.settings), "said": said}
        message = {"start": self._sent, **(news if news != self._told else {})}
        self._page.tell(message, play.rows[self._sent * len(COLUMNS) :].tobytes())
        self._sent, self._told = play.slices, news

    def end(self, chart: Chart) -> None:
        """Put the chart, which is stored, in the widget's place."""
        self._handle.update(chart._repr_mimebundle_(), raw=True)
        self._page.close()


def _said(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())

"""A scenario with a breaker whose settings change while it is played, slice by slice.

The rule: a setting counts from the slice in which it is set, and nothing here knows a clock but the kernel's.
So the same seed with the same settings at the same slices gives the same bytes, however fast it is played.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections import Counter
from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.calls import Resilient
from workbench.errors import ConfigurationError
from workbench.experiments.arrivals import Arrivals
from workbench.experiments.results import OUTCOMES
from workbench.experiments.scenario import Play, Scenario
from workbench.experiments.service import Lognormal, Service
from workbench.resilience.breaker import BreakerEvent, CircuitBreaker, State
from workbench.resilience.retry import RetryPolicy

__all__ = ["COLUMNS", "CONTROLS", "POLICIES", "SLICE", "STATES", "BreakerPlay", "checked"]

SLICE = 0.25  # simulated seconds
TIMEOUT = 5.0  # seconds of an attempt
STATES = (State.CLOSED, State.HALF_OPEN, State.OPEN)  # by number; -1: there is no breaker
COLUMNS = ("state", "in flight", "ok", "failed", "refused", "requests")
POLICIES = ("no policy", "retry", "breaker", "retry + breaker")
Setting = float | str


class Control(NamedTuple):
    """A setting: what it is called, its range, and what it is at first."""

    label: str
    least: float
    most: float
    step: float
    unit: str
    first: float


CONTROLS = {
    "failure_rate": Control("failure rate", 0, 1, 0.05, "%", 0.05),
    "latency": Control("latency", 0.1, 8, 0.1, "s", 0.5),
    "threshold": Control("opens at", 0.05, 1, 0.05, "%", 0.5),
    "window": Control("window", 5, 200, 5, "calls", 20),
    "open_time": Control("open time", 1, 60, 1, "s", 10),
}


def checked(settings: Mapping[str, Any]) -> dict[str, Setting]:
    """Settings that are all known and in their ranges.

    Raises:
        ConfigurationError: one is not.
    """
    for name, value in settings.items():
        if name == "policy":
            fits, allowed = value in POLICIES, f"one of {', '.join(map(repr, POLICIES))}"
        elif name in CONTROLS:
            _, least, most, *_ = CONTROLS[name]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits, allowed = number and least <= value <= most, f"a number from {least:g} to {most:g}"
        else:
            known = ", ".join((*CONTROLS, "policy"))
            raise ConfigurationError(f"there is no setting {name!r}; there are {known}")
        if not fits:
            raise ConfigurationError(f"{name} is {allowed}, got {value!r}")
    return dict(settings)


class BreakerPlay(Play):
    """One play of `rate` calls a second to a service that fails and is slow as it is told.

    A change of the policy or of a setting of the breaker makes a new breaker, which is closed; calls that are
    under way still answer to the one before.

    Args:
        settings: at first; those of `CONTROLS`, and the policy.
        rate: calls a second, a Poisson process.
        seconds: how long calls begin.
        seed: of all that is random.
    """

    def __init__(self, settings: Mapping[str, Setting], *, rate: float, seconds: float, seed: int) -> None:
        super().__init__(Scenario(arrivals=Arrivals.poisson(rate), service=Service(), seconds=seconds), seed)
        self.settings: dict[str, Any] = {name: control.first for name, control in CONTROLS.items()}
        self.settings["policy"] = "breaker"
        self.changes: list[tuple[float, dict[str, Setting]]] = []
        self.transitions: list[BreakerEvent] = []
        self.rows = array("f")
        self.in_flight = self._requests = self._told = self._moves = 0
        self.change(settings)
        self.begin()

    @property
    def slices(self) -> int:
        """How many have been played."""
        return len(self.rows) // len(COLUMNS)

    def change(self, settings: Mapping[str, Setting]) -> None:
        """Set what is given, from now on."""
        new = {name: value for name, value in checked(settings).items() if self.settings[name] != value}
        if not new and self.clients:
            return
        if self.clients:
            self.changes.append((self.kernel.now, new))
        self.settings |= new
        latency = Lognormal(self.settings["latency"], 0.3)
        rate = self.settings["failure_rate"]
        self.server.service = dataclasses.replace(self.server.service, seconds=latency, failure_rate=rate)
        if not self.clients or new.keys() - {"latency", "failure_rate"}:
            self.clients[0] = self._client()

    def step(self) -> None:
        """Play one slice; one in which the breaker was half-open at any time is half-open."""
        self.kernel.run((self.slices + 1) * SLICE)
        ended = self.calls[self._told :]
        self._told = len(self.calls)
        outcomes = Counter(OUTCOMES[int(code)] for code in ended[4::5])
        breaker = self.clients[0].breaker
        probed = any(move.state is State.HALF_OPEN for move in self.transitions[self._moves :])
        state = STATES.index(State.HALF_OPEN if probed else breaker.state) if breaker else -1
        counts = [outcomes[name] for name in ("ok", "failed", "rejected")]
        self.rows.extend([state, self.in_flight, *counts, self._requests])
        self._requests, self._moves = 0, len(self.transitions)

    def to_frame(self) -> pd.DataFrame:
        """A row for each slice by the second at which it ended; calls are those that ended in it."""
        table = np.array(self.rows).reshape(-1, len(COLUMNS))
        index = pd.Index(SLICE * np.arange(1, len(table) + 1), name="seconds")
        names = dict(enumerate(state.value for state in STATES))
        frame = pd.DataFrame(table.astype(int), columns=list(COLUMNS), index=index)
        return frame.assign(state=frame["state"].map(names).fillna("no breaker"))

    def _client(self) -> Resilient:
        policy, window = self.settings["policy"], int(self.settings["window"])
        breaker = CircuitBreaker(
            window=window,
            minimum_calls=min(10, window),
            failure_rate=self.settings["threshold"],
            open_time=self.settings["open_time"],
            permits=3,
            half_open_time=2 * TIMEOUT,
        )
        breaker.listeners.append(lambda event: self._hear(breaker, event))
        return Resilient(
            retry=RetryPolicy() if "retry" in policy else None,
            breaker=breaker if "breaker" in policy else None,
            timeout=TIMEOUT,
        )

    def _hear(self, breaker: CircuitBreaker, event: BreakerEvent) -> None:
        if event.kind == "transition" and self.clients[0].breaker is breaker:
            self.transitions.append(event)

    def _attempt(
        self, number: int, client: Resilient, now: float
    ) -> Generator[float, None, tuple[float, Exception | None, int] | None]:
        self.in_flight += 1
        self._requests += 1
        attempt = yield from super()._attempt(number, client, now)
        self._requests -= attempt is None  # refused at once
        self.in_flight -= 1
        return attempt

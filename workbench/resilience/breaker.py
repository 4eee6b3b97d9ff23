"""A circuit breaker: calls to what fails are refused at once, until a few probes show that it works again.

Whatever changes its state is a row of :data:`TRANSITIONS`, and happens in :meth:`CircuitBreaker.handle`.
The semantics are those that resilience4j documents.  Each state is a *generation*: a permit carries the one
that gave it, and a result of an earlier generation decides nothing in a later one.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from workbench.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    QuotaExceededError,
)
from workbench.resilience.gates import Permit
from workbench.resilience.window import CountWindow, TimeWindow

__all__ = ["TRANSITIONS", "BreakerEvent", "CircuitBreaker", "State", "Trigger", "diagram"]


class State(Enum):
    """What a breaker does with calls."""

    CLOSED = "closed"  # lets them through and counts
    OPEN = "open"  # refuses them
    HALF_OPEN = "half-open"  # lets a few through, and decides by them
    FORCED_OPEN = "forced open"  # refuses them until it is told otherwise
    DISABLED = "disabled"  # lets them through and does not count


class Trigger(Enum):
    """What ends a state."""

    FAILURE_RATE = "failure rate reached"
    SLOW_RATE = "slow-call rate reached"
    OPEN_TIME = "open time over"
    PROBES_PASSED = "probes passed"
    HALF_OPEN_TIME = "probes took too long"
    RESET = "reset"
    FORCE_OPEN = "force open"
    DISABLE = "disable"


_MANUAL = {
    Trigger.RESET: State.CLOSED,
    Trigger.FORCE_OPEN: State.FORCED_OPEN,
    Trigger.DISABLE: State.DISABLED,
}
TRANSITIONS: dict[State, dict[Trigger, State]] = {
    State.CLOSED: {Trigger.FAILURE_RATE: State.OPEN, Trigger.SLOW_RATE: State.OPEN, **_MANUAL},
    State.OPEN: {Trigger.OPEN_TIME: State.HALF_OPEN, **_MANUAL},
    State.HALF_OPEN: {
        Trigger.PROBES_PASSED: State.CLOSED,
        Trigger.FAILURE_RATE: State.OPEN,
        Trigger.SLOW_RATE: State.OPEN,
        Trigger.HALF_OPEN_TIME: State.OPEN,
        **_MANUAL,
    },
    State.FORCED_OPEN: {**_MANUAL},
    State.DISABLED: {**_MANUAL},
}

_SILENT = (State.FORCED_OPEN, State.DISABLED)  # nothing is told of calls
EventKind = Literal[
    "success", "error", "ignored error", "not permitted", "late", "rate exceeded", "transition"
]


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """What a breaker has seen or done, at `at` seconds.

    `state` is the one after it; `detail` is the trigger of a transition, or the rate that was exceeded.
    """

    kind: EventKind
    at: float
    state: State
    detail: str = ""


class CircuitBreaker:
    """Refuses calls while too many of the last ones have failed or were slow.  Safe to use from threads.

    Closed, it counts; at or above a rate it opens.  After the open time the next call makes it half-open: it
    admits `permits` probes and no more, and when all of them are in, it closes or opens again by their rates.

    Args:
        window: of how many calls, the last ones, the rates are.
        seconds: instead, the rates are of the calls of the last so many seconds.
        minimum_calls: no rate counts before so many calls (at most `window`) are in the window.
        failure_rate: the share of failures, from 0 to 1, at which it opens.
        slow_rate: the share of slow calls at which it opens; failed ones count, too.
        slow_after: a call of more seconds is slow.
        open_time: seconds for which it refuses.
        growth: by which `open_time` grows each time that the probes fail.
        max_open_time: to which it grows.
        permits: probes that a half-open breaker admits.
        half_open_time: seconds after which it opens again if not all probes are in.
        ignored: errors that are neither failures nor successes: by default, those that are the caller's.
        listeners: each is called with every event, while the breaker is locked: it should be quick.  Forced
            open or disabled, it tells of transitions alone.

    Raises:
        ConfigurationError: one of them is out of its range.
    """

    def __init__(
        self,
        *,
        window: int = 100,
        seconds: float | None = None,
        minimum_calls: int = 100,
        failure_rate: float = 0.5,
        slow_rate: float = 1.0,
        slow_after: float = 60.0,
        open_time: float = 60.0,
        growth: float = 1.0,
        max_open_time: float = 3600.0,
        permits: int = 10,
        half_open_time: float = math.inf,
        ignored: tuple[type[BaseException], ...] = (
            AuthenticationError,
            InvalidRequestError,
            NotFoundError,
            QuotaExceededError,
        ),
        listeners: tuple[Callable[[BreakerEvent], object], ...] = (),
    ) -> None:
        for name, value, least, most in (
            ("window", window, 1, math.inf),
            ("seconds", 1 if seconds is None else seconds, 1e-9, math.inf),
            ("minimum_calls", minimum_calls, 1, math.inf),
            ("failure_rate", failure_rate, 1e-9, 1),
            ("slow_rate", slow_rate, 1e-9, 1),
            ("open_time", open_time, 0, math.inf),
            ("growth", growth, 1, math.inf),
            ("permits", permits, 1, math.inf),
        ):
            if not least <= value <= most:
                allowed = f"at least {least:g}" + ("" if most == math.inf else f" and at most {most:g}")
                raise ConfigurationError(f"a breaker's {name} must be {allowed}, got {value!r}")
        self.window, self.seconds = window, seconds
        self.minimum_calls = minimum_calls if seconds is not None else min(minimum_calls, window)
        self.failure_rate, self.slow_rate, self.slow_after = failure_rate, slow_rate, slow_after
        self.open_time, self.growth, self.max_open_time = open_time, growth, max_open_time
        self.permits, self.half_open_time = permits, half_open_time
        self.ignored = ignored
        self.listeners = list(listeners)
        self.state = State.CLOSED
        self._lock = threading.RLock()  # a listener may ask it
        self._generation = 0
        self._since = -math.inf  # when this state began
        self._open_for = self._next_open = min(open_time, max_open_time)
        self._begin()

    @classmethod
    def after_failures(cls, count: int, **settings: Any) -> CircuitBreaker:
        """A breaker that opens after `count` failures in a row, with one probe.

        Args:
            count: failures without a success in between.
            settings: as for the class.
        """
        return cls(**{"permits": 1, **settings, "window": count, "minimum_calls": count, "failure_rate": 1.0})

    def acquire(self, now: float, rng: random.Random | None = None) -> Permit | None:
        """A permit for one call, to be given back by :meth:`record` or :meth:`release`; None: do not call.

        Args:
            now: seconds.
            rng: not used; other policies that admit calls draw from it.
        """
        permit, state = (self._generation, now), self.state  # in this order: if it ends meanwhile, it is late
        if state is State.CLOSED:
            return permit
        with self._lock:
            self._tick(now)
            if self.state is State.HALF_OPEN and self._admitted < self.permits:
                self._admitted += 1
            elif self.state is not State.CLOSED and self.state is not State.DISABLED:
                self._emit("not permitted", now)
                return None
            return self._generation, now

    def record(
        self, permit: Permit, now: float, error: BaseException | None = None, took: float | None = None
    ) -> None:
        """Say what a call came to.

        Args:
            permit: which :meth:`acquire` has given.
            now: seconds.
            error: None: it succeeded.
            took: seconds until its answer; None: the time since the permit.
        """
        with self._lock:
            if permit[0] != self._generation:
                self._emit("late", now)
            elif error is not None and isinstance(error, self.ignored):
                self._admitted -= 1
                self._emit("ignored error", now)
            elif self.state is not State.DISABLED:
                failed = error is not None
                slow = (now - permit[1] if took is None else took) > self.slow_after
                if self.listeners:
                    self._emit("error" if failed else "success", now)
                calls, failures, slows = self._calls.add(now, 1, failed, slow)
                if calls >= self._enough:
                    self._judge(failures / calls, slows / calls, now)

    def release(self, permit: Permit) -> None:
        """Give a permit back for a call that was not made, or was given up by its caller."""
        with self._lock:
            if permit[0] == self._generation:
                self._admitted -= 1

    def retry_after(self, now: float) -> float:
        """Seconds until it may admit a call: 0 if it admits one now, infinite while it is forced open."""
        with self._lock:
            if self.state is State.FORCED_OPEN:
                return math.inf
            return max(0.0, self._since + self._open_for - now) if self.state is State.OPEN else 0.0

    def handle(self, trigger: Trigger, now: float) -> None:
        """Go into the state that `trigger` leads to; by hand, one of RESET, FORCE_OPEN and DISABLE.

        Raises:
            ValueError: the state knows no such trigger.
        """
        with self._lock:
            if trigger not in TRANSITIONS[self.state]:
                raise ValueError(f"a breaker that is {self.state.value} knows no {trigger.value!r}")
            self.state = TRANSITIONS[self.state][trigger]
            self._since = now
            self._begin()
            self._emit("transition", now, trigger.value)

    def _begin(self) -> None:
        """Begin a generation: what was counted and admitted before is of no account."""
        self._generation += 1
        self._admitted = 0
        if self.state is State.OPEN:
            self._open_for = self._next_open
            self._next_open = min(self.max_open_time, self._next_open * self.growth)
        elif self.state is State.CLOSED:
            self._next_open = min(self.open_time, self.max_open_time)
        half_open = self.state is State.HALF_OPEN
        self._enough = self.permits if half_open else self.minimum_calls
        self._calls: CountWindow | TimeWindow
        if self.seconds is None or half_open:
            self._calls = CountWindow(self.permits if half_open else self.window, 3)
        else:
            self._calls = TimeWindow(self.seconds, 3)

    def _tick(self, now: float) -> None:
        """What time alone brings about.

        A state that began long after `now` began on a clock that has since begun again; a little after it, in
        another thread.
        """
        if self.state is State.OPEN and not -1 <= now - self._since < self._open_for:
            self.handle(Trigger.OPEN_TIME, now)
        elif self.state is State.HALF_OPEN and now - self._since >= self.half_open_time:
            self.handle(Trigger.HALF_OPEN_TIME, now)

    def _judge(self, failures: float, slow: float, now: float) -> None:
        """What the rates of enough calls bring about."""
        if failures >= self.failure_rate:
            trigger, rate = Trigger.FAILURE_RATE, failures
        elif slow >= self.slow_rate:
            trigger, rate = Trigger.SLOW_RATE, slow
        else:
            if self.state is State.HALF_OPEN:
                self.handle(Trigger.PROBES_PASSED, now)
            return
        self._emit("rate exceeded", now, f"{trigger.value}: {rate:.0%}")
        self.handle(trigger, now)

    def _emit(self, kind: EventKind, now: float, detail: str = "") -> None:
        if self.listeners and (kind == "transition" or self.state not in _SILENT):
            event = BreakerEvent(kind, now, self.state, detail)
            for listener in self.listeners:
                listener(event)


def diagram() -> str:
    """A Mermaid state diagram, drawn from :data:`TRANSITIONS`; what is done by hand is left out."""
    arrows = [
        f"    {old.name} --> {new.name}: {trigger.value}"
        for old, row in TRANSITIONS.items()
        for trigger, new in row.items()
        if trigger not in _MANUAL
    ]
    return "\n".join(["stateDiagram-v2", "    direction LR", f"    [*] --> {State.CLOSED.name}", *arrows])

"""The circuit breaker: resilience4j's documented behaviour point by point, and a naive model beside it."""

import threading
from collections import Counter
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from workbench.errors import ConfigurationError, InvalidRequestError, ServerError
from workbench.resilience.breaker import (
    TRANSITIONS,
    BreakerEvent,
    CircuitBreaker,
    State,
    Trigger,
    diagram,
)
from workbench.resilience.gates import Permit

DOWN = ServerError("down", provider="p", status=500)
WRONG = InvalidRequestError("bad", provider="p", status=400)


def call(breaker: CircuitBreaker, now: float, error: Exception | None = None, took: float = 0.0) -> bool:
    """Make a call that begins at `now`; whether it was admitted."""
    permit = breaker.acquire(now)
    if permit is None:
        return False
    breaker.record(permit, now + took, error)
    return True


def calls(breaker: CircuitBreaker, outcomes: str, now: float = 0.0) -> None:
    """Calls that succeed (".") or fail ("x"), all at `now`."""
    for outcome in outcomes:
        assert call(breaker, now, DOWN if outcome == "x" else None)


def opened(**settings: Any) -> CircuitBreaker:
    """A breaker that has opened at 0, and waits for 60 seconds."""
    breaker = CircuitBreaker.after_failures(1, **settings)
    calls(breaker, "x")
    assert breaker.state.value == "open"
    return breaker


# -- closed --------------------------------------------------------------------------------------------


def test_the_defaults_are_resilience4js() -> None:
    """Window 100 and 100 calls at least, 50 % failures or 100 % slower than 60 s, 60 s open, 10 probes."""
    breaker = CircuitBreaker()
    assert (breaker.window, breaker.seconds, breaker.minimum_calls) == (100, None, 100)
    assert (breaker.failure_rate, breaker.slow_rate, breaker.slow_after) == (0.5, 1.0, 60.0)
    assert (breaker.open_time, breaker.permits) == (60.0, 10)


def test_nothing_is_decided_before_the_minimum_of_calls() -> None:
    """If nine of at least ten calls were made, it stays closed although all nine failed."""
    breaker = CircuitBreaker(minimum_calls=10)
    calls(breaker, "x" * 9)
    assert breaker.state.value == "closed"
    calls(breaker, "x")
    assert breaker.state.value == "open"


def test_the_minimum_is_no_more_than_the_window() -> None:
    """A count window smaller than the minimum decides when it is full."""
    breaker = CircuitBreaker(window=5, minimum_calls=100)
    calls(breaker, "xxxxx")
    assert breaker.state.value == "open"


@pytest.mark.parametrize(("outcomes", "state"), [("xxxxx.....", State.OPEN), ("xxxx......", State.CLOSED)])
def test_it_opens_at_the_rate_itself(outcomes: str, state: State) -> None:
    """It opens at the rate itself, and not below; the call that completes the count may be a success."""
    breaker = CircuitBreaker(window=10, failure_rate=0.5)
    calls(breaker, outcomes)
    assert breaker.state is state


def test_a_count_window_forgets_the_oldest_call() -> None:
    """The rate is that of the last calls: the oldest goes when a new one comes."""
    breaker = CircuitBreaker(window=4, failure_rate=0.5)
    calls(breaker, "x....x...x")
    assert breaker.state.value == "closed"
    calls(breaker, ".x")
    assert breaker.state.value == "open"


def test_a_time_window_forgets_by_time() -> None:
    """The rate is that of the calls of the last seconds, however many they are."""
    breaker = CircuitBreaker(seconds=10, minimum_calls=4, failure_rate=0.5)
    calls(breaker, "xxx", now=0.0)
    calls(breaker, ".", now=10.0)  # the three are gone
    calls(breaker, "x.", now=12.0)
    assert breaker.state.value == "closed"
    calls(breaker, "x", now=19.0)
    assert breaker.state.value == "open"


def test_slow_calls_open_it() -> None:
    """Slower than the threshold is slow, equal is not; enough of them open it although they succeed."""
    breaker = CircuitBreaker(window=4, slow_rate=0.5, slow_after=2.0)
    for took in (2.0, 2.0, 9.0):
        call(breaker, 0.0, took=took)
    assert breaker.state.value == "closed"
    call(breaker, 0.0, took=2.1)
    assert breaker.state.value == "open"


def test_a_failed_call_may_be_slow_too() -> None:
    """Failures count towards the slow-call rate."""
    breaker = CircuitBreaker(window=2, slow_rate=1.0, slow_after=2.0)
    call(breaker, 0.0, took=3.0)
    call(breaker, 0.0, DOWN, took=3.0)
    assert breaker.state.value == "open"


def test_ignored_errors_are_neither() -> None:
    """A caller's own error counts neither as failure nor as success, nor towards the minimum."""
    breaker = CircuitBreaker(window=4, failure_rate=0.75)
    calls(breaker, "xx")
    for _ in range(9):
        call(breaker, 0.0, WRONG)
    calls(breaker, ".")
    assert breaker.state.value == "closed"
    calls(breaker, "x")
    assert breaker.state.value == "open"


def test_consecutive_failures() -> None:
    """after_failures(3) opens at three in a row; a success in between begins anew."""
    breaker = CircuitBreaker.after_failures(3)
    calls(breaker, "xx.xx.xx")
    assert breaker.state.value == "closed"
    calls(breaker, "x")
    assert breaker.state.value == "open"


def test_pollys_breaker_can_be_said() -> None:
    """Polly v8: a ratio of 0.1 of at least 100 calls in 30 s, 5 s open, one probe."""
    breaker = CircuitBreaker(seconds=30, minimum_calls=100, failure_rate=0.1, open_time=5, permits=1)
    calls(breaker, "." * 90 + "x" * 9)
    assert breaker.state.value == "closed"
    calls(breaker, "x")
    assert breaker.retry_after(0.0) == 5
    assert call(breaker, 5.0)
    assert breaker.state.value == "closed"


# -- open ----------------------------------------------------------------------------------------------


def test_open_refuses_until_its_time_is_over() -> None:
    """While it is open nothing is admitted; the first call after that makes it half-open."""
    breaker = opened()
    assert [call(breaker, now) for now in (0.0, 30.0, 59.9)] == [False] * 3
    assert breaker.retry_after(20.0) == 40.0
    assert breaker.state.value == "open"
    assert breaker.acquire(60.0) is not None
    assert breaker.state.value == "half-open"
    assert breaker.retry_after(60.0) == 0.0


def test_the_open_time_grows() -> None:
    """Each time that the probes fail it stays open longer, up to the longest; a recovery begins anew."""
    breaker = opened(open_time=10, growth=2, max_open_time=30)
    now, times = 0.0, []
    for _ in range(4):
        times.append(breaker.retry_after(now))
        now += times[-1]
        call(breaker, now, DOWN)
    assert times == [10, 20, 30, 30]
    now += 30
    assert call(breaker, now)
    assert call(breaker, now, DOWN)
    assert breaker.retry_after(now) == 10


def test_a_clock_that_begins_again() -> None:
    """A breaker that opened on a clock that has begun again since does not stay open for ever."""
    breaker = CircuitBreaker.after_failures(1)
    calls(breaker, "x", now=5000.0)
    assert not call(breaker, 4999.99)  # another thread, which has read the clock a little earlier
    assert call(breaker, 3.0)


def test_a_time_window_on_a_clock_that_begins_again() -> None:
    """What a time window has seen on a clock that has begun again since is forgotten."""
    breaker = CircuitBreaker(seconds=10, minimum_calls=4, failure_rate=0.5)
    calls(breaker, "xxx", now=5000.0)
    calls(breaker, "..x", now=3.0)
    assert breaker.state is State.CLOSED
    calls(breaker, "x", now=2.99)  # another thread, which has read the clock a little earlier
    assert breaker.state.value == "open"


# -- half-open -----------------------------------------------------------------------------------------


def test_half_open_admits_its_permits_and_no_more() -> None:
    """Further calls are refused until all that were admitted are in."""
    breaker = opened(permits=3)
    permits = [breaker.acquire(60.0) for _ in range(5)]
    assert [permit is not None for permit in permits] == [True] * 3 + [False] * 2
    for permit in permits[:2]:
        assert permit
        breaker.record(permit, 61.0)
    assert breaker.state.value == "half-open"
    assert not call(breaker, 61.0)
    assert permits[2]
    breaker.record(permits[2], 61.0)
    assert breaker.state.value == "closed"


@pytest.mark.parametrize(
    ("outcomes", "state"), [("x.x.", State.OPEN), ("...x", State.CLOSED), ("xxxx", State.OPEN)]
)
def test_half_open_is_decided_by_the_rates_when_all_are_in(outcomes: str, state: State) -> None:
    """At or above a rate it opens again, below both it closes."""
    breaker = opened(permits=4)
    breaker.failure_rate = 0.5
    calls(breaker, outcomes[:3], now=60.0)
    assert breaker.state.value == "half-open"
    calls(breaker, outcomes[3:], now=60.0)
    assert breaker.state is state


def test_slow_probes_open_it_again() -> None:
    """Probes that succeed slowly do not close it."""
    breaker = opened(slow_after=2.0)
    call(breaker, 60.0, took=3.0)
    assert breaker.state.value == "open"


def test_a_probe_that_comes_to_nothing_gives_its_permit_back() -> None:
    """A call that was given up, or failed by its caller's fault, leaves its place to another."""
    breaker = opened(permits=1)
    permit = breaker.acquire(60.0)
    assert permit
    assert not call(breaker, 60.0)
    breaker.release(permit)
    assert call(breaker, 60.0, WRONG)
    assert breaker.state.value == "half-open"
    assert call(breaker, 60.0)
    assert breaker.state.value == "closed"


def test_half_open_has_a_time_limit() -> None:
    """With half_open_time, probes that never return do not keep it half-open: it opens again."""
    breaker = opened(half_open_time=5)
    assert breaker.acquire(60.0)
    assert not call(breaker, 64.9)
    assert not call(breaker, 65.0)
    assert breaker.state.value == "open"
    assert breaker.retry_after(65.0) == 60.0


def test_the_window_begins_anew_in_each_state() -> None:
    """What was counted before it opened is of no account after it has closed again."""
    breaker = CircuitBreaker(window=4, permits=1)
    calls(breaker, "xxxx")
    calls(breaker, ".", now=60.0)
    calls(breaker, "xxx", now=60.0)
    assert breaker.state.value == "closed"


# -- late results --------------------------------------------------------------------------------------


def test_late_results_do_not_close_it() -> None:
    """Successes of calls that began before it opened neither close it nor count as probes."""
    breaker = CircuitBreaker(window=4, permits=2)
    slow = [breaker.acquire(0.0) for _ in range(10)]
    calls(breaker, "xxxx")
    for permit in slow[:5]:
        assert permit
        breaker.record(permit, 1.0)
    assert breaker.state.value == "open"
    probe = breaker.acquire(60.0)
    for permit in slow[5:]:
        assert permit
        breaker.record(permit, 60.0)
        breaker.release(permit)
    assert breaker.state.value == "half-open"
    assert probe
    assert breaker.acquire(60.0)
    assert breaker.acquire(60.0) is None


def test_late_failures_do_not_open_it() -> None:
    """Failures of calls that began before it opened do not decide the half-open or the closed state."""
    breaker = CircuitBreaker(window=4, permits=1)
    slow = [breaker.acquire(0.0) for _ in range(8)]
    calls(breaker, "xxxx")
    assert call(breaker, 60.0)
    for permit in slow:
        assert permit
        breaker.record(permit, 61.0, DOWN)
    assert breaker.state.value == "closed"


# -- by hand, events, diagram --------------------------------------------------------------------------


def test_by_hand() -> None:
    """Forced open admits nothing, whatever the time; disabled admits all and counts nothing; reset closes."""
    breaker = CircuitBreaker.after_failures(1)
    breaker.handle(Trigger.FORCE_OPEN, 0.0)
    assert not call(breaker, 1e6)
    assert breaker.retry_after(1e6) == float("inf")
    breaker.handle(Trigger.DISABLE, 0.0)
    calls(breaker, "xxxx")
    assert breaker.state.value == "disabled"
    breaker.handle(Trigger.RESET, 0.0)
    assert breaker.state.value == "closed"
    with pytest.raises(ValueError, match="a breaker that is closed knows no 'open time over'"):
        breaker.handle(Trigger.OPEN_TIME, 0.0)


def test_every_event_is_told() -> None:
    """A listener hears of each result, refusal, late result, exceeded rate and transition."""
    seen: list[BreakerEvent] = []
    breaker = CircuitBreaker(window=2, permits=1, listeners=(seen.append,))
    slow = breaker.acquire(0.0)
    calls(breaker, ".", now=1.0)
    call(breaker, 2.0, WRONG)
    calls(breaker, "x", now=3.0)
    call(breaker, 4.0)
    assert slow
    breaker.record(slow, 5.0)
    calls(breaker, ".", now=63.0)
    assert seen == [
        BreakerEvent("success", 1.0, State.CLOSED),
        BreakerEvent("ignored error", 2.0, State.CLOSED),
        BreakerEvent("error", 3.0, State.CLOSED),
        BreakerEvent("rate exceeded", 3.0, State.CLOSED, "failure rate reached: 50%"),
        BreakerEvent("transition", 3.0, State.OPEN, "failure rate reached"),
        BreakerEvent("not permitted", 4.0, State.OPEN),
        BreakerEvent("late", 5.0, State.OPEN),
        BreakerEvent("transition", 63.0, State.HALF_OPEN, "open time over"),
        BreakerEvent("success", 63.0, State.HALF_OPEN),
        BreakerEvent("transition", 63.0, State.CLOSED, "probes passed"),
    ]


@pytest.mark.parametrize("trigger", [Trigger.FORCE_OPEN, Trigger.DISABLE])
def test_by_hand_nothing_but_transitions_is_told(trigger: Trigger) -> None:
    """Forced open or disabled, a breaker tells of neither calls nor refusals nor late results."""
    seen: list[BreakerEvent] = []
    breaker = CircuitBreaker(listeners=(seen.append,))
    slow = breaker.acquire(0.0)
    breaker.handle(trigger, 1.0)
    call(breaker, 2.0, DOWN)
    call(breaker, 2.0, WRONG)
    assert slow
    breaker.record(slow, 3.0)
    breaker.handle(Trigger.RESET, 4.0)
    assert [event.kind for event in seen] == ["transition", "transition"]


def test_a_listener_may_ask_the_breaker() -> None:
    """A listener that asks the breaker which has called it is answered, not locked out."""
    states: list[float] = []
    breaker = CircuitBreaker.after_failures(1)
    breaker.listeners.append(lambda event: states.append(breaker.retry_after(event.at)))
    calls(breaker, "x")
    assert states[-1] == 60.0


def test_the_diagram_is_the_table() -> None:
    """The diagram has an arrow for each row of the table that is not done by hand, and no other."""
    arrows = {line.strip() for line in diagram().splitlines() if "-->" in line and "[*]" not in line}
    by_hand = {Trigger.RESET, Trigger.FORCE_OPEN, Trigger.DISABLE}
    assert arrows == {
        f"{old.name} --> {new.name}: {trigger.value}"
        for old, row in TRANSITIONS.items()
        for trigger, new in row.items()
        if trigger not in by_hand
    }
    assert "OPEN --> HALF_OPEN: open time over" in arrows


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"failure_rate": 50}, "failure_rate must be at least 1e-09 and at most 1, got 50"),
        ({"permits": 0}, "permits must be at least 1, got 0"),
        ({"seconds": 0}, "seconds must be at least 1e-09, got 0"),
        ({"open_time": float("nan")}, "open_time must be at least 0, got nan"),
    ],
)
def test_a_wrong_breaker(settings: Any, complaint: str) -> None:
    """A setting out of its range is refused, with its name, its value and what is allowed."""
    with pytest.raises(ConfigurationError, match=complaint):
        CircuitBreaker(**settings)


# -- threads -------------------------------------------------------------------------------------------


def test_two_hundred_threads_share_the_permits() -> None:
    """Of 200 threads that ask a half-open breaker with 7 permits at once, exactly 7 are let through."""
    breaker, start, admitted = opened(permits=7), threading.Barrier(200), []

    def ask() -> None:
        start.wait()
        admitted.append(breaker.acquire(60.0) is not None)

    threads = [threading.Thread(target=ask) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(admitted) == {True: 7, False: 193}


# -- a naive model -------------------------------------------------------------------------------------


class BreakerMachine(RuleBasedStateMachine):
    """A breaker beside a model that keeps every outcome in a list and recounts it each time."""

    SETTINGS: ClassVar[dict[str, Any]] = {"window": 6, "minimum_calls": 4}

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker(
            failure_rate=0.5,
            slow_rate=0.75,
            slow_after=2,
            open_time=10,
            growth=2,
            max_open_time=35,
            permits=3,
            **self.SETTINGS,
        )
        self.now, self.state, self.epoch = 0, "closed", 0
        self.outcomes: list[tuple[int, bool, bool]] = []
        self.places, self.since, self.open_time = 0, 0, 10
        self.running: list[tuple[Permit, int, int]] = []

    def go(self, state: str) -> None:
        self.state, self.since, self.outcomes, self.places = state, self.now, [], 3
        self.epoch += 1

    def counted(self) -> list[tuple[int, bool, bool]]:
        if self.state == "half-open":
            return self.outcomes
        if "seconds" in self.SETTINGS:
            return [each for each in self.outcomes if each[0] > self.now - self.SETTINGS["seconds"]]
        return self.outcomes[-self.SETTINGS["window"] :]

    @rule(seconds=st.integers(0, 12))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        if self.state == "open" and self.now - self.since >= self.open_time:
            self.go("half-open")
        admitted = self.state == "closed" or (self.state == "half-open" and self.places > 0)
        self.places -= admitted
        permit = self.breaker.acquire(self.now)
        assert (permit is not None) is admitted
        if permit is not None:
            self.running.append((permit, self.epoch, self.now))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), error=st.sampled_from([None, DOWN, WRONG]), given_up=st.sampled_from([0, 0, 1]))
    def end(self, data: st.DataObject, error: Exception | None, given_up: int) -> None:
        permit, epoch, began = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        if given_up:
            self.breaker.release(permit)
        else:
            self.breaker.record(permit, self.now, error)
        if epoch != self.epoch:
            return
        if given_up or error is WRONG:
            self.places += 1
            return
        self.outcomes.append((self.now, error is DOWN, self.now - began > 2))
        counted = self.counted()
        if len(counted) < (3 if self.state == "half-open" else 4):
            return
        failed = sum(each[1] for each in counted) / len(counted) >= 0.5
        slow = sum(each[2] for each in counted) / len(counted) >= 0.75
        if failed or slow:
            self.open_time = min(35, self.open_time * 2) if self.state == "half-open" else 10
            self.go("open")
        elif self.state == "half-open":
            self.go("closed")

    @invariant()
    def the_same(self) -> None:
        assert self.breaker.state.value == self.state


class TimedBreakerMachine(BreakerMachine):
    SETTINGS: ClassVar[dict[str, Any]] = {"seconds": 10, "minimum_calls": 4}


@pytest.mark.parametrize("machine", [BreakerMachine, TimedBreakerMachine])
def test_it_is_a_breaker_as_everybody_would_write_it(machine: type[RuleBasedStateMachine]) -> None:
    """Whatever is called, and in whatever order it ends, states and refusals are those of a naive model."""
    run_state_machine_as_test(machine)

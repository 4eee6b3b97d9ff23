"""Hedges, concurrency limits and adaptive throttling, against their published formulas."""

import heapq
import math
import random
import threading
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from workbench.errors import ConfigurationError, InvalidRequestError, OverloadedError
from workbench.resilience import AdaptiveThrottle, AIMDLimit, GradientLimit, Hedge
from workbench.resilience.concurrency import ConcurrencyLimit
from workbench.resilience.gates import Permit

BUSY = OverloadedError("busy", provider="p", status=503)
WRONG = InvalidRequestError("bad", provider="p", status=400)


# -- hedges --------------------------------------------------------------------------------------------


@given(
    latencies=st.lists(st.floats(0, 100), min_size=1, max_size=80),
    quantile=st.floats(0.05, 0.99),
    window=st.integers(1, 30),
)
def test_the_delay_is_the_quantile_of_the_last_latencies(
    latencies: list[float], quantile: float, window: int
) -> None:
    """The delay is the latency that the given share of the last `window` answers did not exceed."""
    hedge = Hedge(quantile=quantile, window=window, minimum=1)
    for latency in latencies:
        hedge.record(latency)
    last = sorted(latencies[-window:])
    assert hedge.delay() == last[math.ceil(quantile * len(last)) - 1]


def test_nothing_is_hedged_before_the_latency_is_known() -> None:
    """Before `minimum` answers there is no hedge, unless its delay was given."""
    hedge = Hedge(minimum=3)
    for _ in range(2):
        hedge.record(1.0)
    assert hedge.delay() == math.inf
    hedge.record(1.0)
    assert hedge.delay() == 1.0
    assert Hedge(after=0.5).delay() == 0.5


def test_the_tail_at_scale() -> None:
    """Lognormal(0, 0.8), hedged at p95: S(t) * S(t - d), p99 6.43 -> 4.89, and 5 % more requests."""
    rng, hedge, took, extra = random.Random(1), Hedge(window=2000), [], 0
    for _ in range(60_000):
        first = rng.lognormvariate(0, 0.8)
        delay = hedge.delay()
        hedge.record(first)
        if first > delay:
            extra += 1
            first = min(first, delay + rng.lognormvariate(0, 0.8))
        took.append(first)
    took.sort()
    assert took[int(0.99 * len(took))] == pytest.approx(4.89, rel=0.04)
    assert extra / len(took) == pytest.approx(0.05, rel=0.06)


# -- adaptive throttling -------------------------------------------------------------------------------


def test_the_probability_is_the_sre_books() -> None:
    """max(0, (requests - k * accepts) / (requests + 1)) over two minutes, refusals counted as requests."""
    throttle, rng = AdaptiveThrottle(k=2), random.Random(0)
    accepts = 0
    for n in range(300):
        assert throttle.refusal(0.1 * n) == max(0, (n - 2 * accepts) / (n + 1))
        permit = throttle.acquire(0.1 * n, rng)
        if permit is not None:
            throttle.record(permit, 0.1 * n, None if n % 5 == 0 else BUSY)
            accepts += n % 5 == 0
    assert throttle.refusal(200) == 0  # forgotten


def test_a_callers_fault_is_an_acceptance() -> None:
    """A provider that answers 400 has accepted the request: it is not overloaded."""
    throttle, rng = AdaptiveThrottle(k=1), random.Random(0)
    for _ in range(100):
        permit = throttle.acquire(0.0, rng)
        assert permit
        throttle.record(permit, 0.0, WRONG)
    assert throttle.refusal(0.0) == 0


@pytest.mark.parametrize("share", [0.3, 0.49])
def test_nothing_is_refused_below_its_threshold(share: float) -> None:
    """With k = 2 nothing is refused while fewer than half of the requests fail."""
    throttle, rng = AdaptiveThrottle(k=2), random.Random(0)
    refused = 0
    for n in range(2000):
        permit = throttle.acquire(0.01 * n, rng)
        if permit is None:
            refused += 1
        else:
            throttle.record(permit, 0.01 * n, BUSY if (n * share) % 1 < share else None)
    assert refused <= 10  # at the very beginning, one failure is all of the requests


# -- concurrency limits --------------------------------------------------------------------------------


class LimitMachine(RuleBasedStateMachine):
    """An AIMD limit beside a model that writes the two rules down."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = AIMDLimit(initial=4, least=2, most=9, timeout=5)
        self.model, self.running, self.now = 4.0, list[tuple[Permit, int, int]](), 0

    @rule(seconds=st.integers(0, 4))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        permit = self.limit.acquire(self.now)
        assert (permit is not None) == (len(self.running) < int(self.model))
        if permit is not None:
            self.running.append((permit, len(self.running) + 1, self.now))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), how=st.sampled_from(["ok", "ok", "ok", "busy", "wrong", "given up"]))
    def end(self, data: st.DataObject, how: str) -> None:
        permit, at_start, began = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        if how == "given up":
            return self.limit.release(permit)
        self.limit.record(permit, self.now, {"ok": None, "busy": BUSY, "wrong": WRONG}[how])
        if how == "busy" or (how == "ok" and self.now - began > 5):
            self.model = max(2, self.model * 0.9)
        elif how == "ok" and at_start * 2 >= self.model:
            self.model = min(9, self.model + 1)
        return None

    @invariant()
    def the_same(self) -> None:
        assert self.limit.limit == pytest.approx(self.model)
        assert self.limit.in_flight == len(self.running)


def test_it_is_a_limit_as_everybody_would_write_it() -> None:
    """Whatever happens, limit and refusals of AIMD are those of the two rules: times 0.9, or +1."""
    run_state_machine_as_test(LimitMachine, settings=settings(max_examples=30))


@pytest.mark.parametrize(
    "limit",
    [
        AIMDLimit(initial=5, timeout=1.5, most=400),
        AIMDLimit(initial=300, timeout=1.5, most=400),
        GradientLimit(initial=5, most=400),
    ],
)
def test_a_limit_finds_the_capacity(limit: ConcurrencyLimit) -> None:
    """At a provider of 50 slots and 1 s a call, the limit comes to the order of 50."""
    now = 0.0
    slots, running, found = [0.0] * 50, list[tuple[float, Permit]](), []
    while now < 300:
        while (permit := limit.acquire(now)) is not None:
            ends = max(now, slots[0]) + 1.0  # the slot that is free first
            heapq.heapreplace(slots, ends)
            heapq.heappush(running, (ends, permit))
        now, permit = heapq.heappop(running)
        limit.record(permit, now)
        found.append(limit.limit)
    for _, permit in running:
        limit.release(permit)
    assert 25 <= fmean(found[len(found) // 2 :]) <= 150


def test_the_gradients_arithmetic() -> None:
    """limit + 0.2 * (limit * gradient + 4 - limit), gradient = 1.5 * long / latency within 0.5 and 1."""
    limit = GradientLimit(initial=10, window=4)

    def interval(now: float, took: float, in_flight: int) -> float:
        for _ in range(10):
            assert limit.acquire(now)
            limit.record((in_flight, now), now, took=took)
        return limit.limit

    assert interval(1.0, 1.0, 10) == pytest.approx(10 + 0.2 * 4)
    assert interval(2.0, 3.0, 10) == pytest.approx(10.8 + 0.2 * 4)  # against 2 s in the long term: within 1.5
    assert interval(3.0, 10.0, 20) == pytest.approx(11.6 + 0.2 * (11.6 * 0.9 + 4 - 11.6))  # against 6 s
    assert interval(4.0, 10.0, 1) == pytest.approx(12.168)  # the limit is not what bounds the calls


def test_the_gradient_forgets_a_load_that_has_gone() -> None:
    """Where the long-term latency is twice the present one, it falls by 5 % an interval."""
    limit = GradientLimit(initial=10, window=600)
    for now, took in ((1.0, 10.0), (2.0, 1.0)):
        for _ in range(10):
            assert limit.acquire(now)
            limit.record((10, now), now, took=took)
    assert limit._long == pytest.approx((10 + 1) / 2 * 0.95)


def test_threads_share_a_limit() -> None:
    """Of 200 threads at once exactly as many are admitted as the limit says."""
    limit, start, admitted = AIMDLimit(initial=7), threading.Barrier(200), list[bool]()

    def ask() -> None:
        start.wait()
        admitted.append(limit.acquire(0.0) is not None)

    threads = [threading.Thread(target=ask) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(admitted) == limit.in_flight == 7


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Hedge(after=-1), "number of seconds, got -1"),
        (lambda: Hedge(quantile=95), "between 0 and 1, got 95"),
        (lambda: AdaptiveThrottle(k=0.5), "k is at least 1"),
        (lambda: AIMDLimit(initial=500), "initial <= most, got 1, 500, 200"),
    ],
)
def test_wrong_settings(make: type, complaint: str) -> None:
    """A setting out of its range is refused, with its value."""
    with pytest.raises(ConfigurationError, match=complaint):
        make()

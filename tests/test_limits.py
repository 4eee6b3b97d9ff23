"""The token bucket against the one that everybody would write first."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from workbench.limits import TokenBucket

CLOSE = 1e-6


class NaiveBucket:
    """Fills as time passes, from a level that is kept."""

    def __init__(self, capacity: float, rate: float) -> None:
        self.capacity, self.rate, self.level, self.at = capacity, rate, capacity, 0.0

    def move(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now


class BucketMachine(RuleBasedStateMachine):
    """Both buckets are asked for the same; time goes on by any steps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.bucket, self.naive = TokenBucket(10, 2.5), NaiveBucket(10, 2.5)

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.naive.move(self.now)

    @rule(amount=st.floats(-3, 15))
    def take(self, amount: float) -> None:
        self.bucket.take(amount, self.now)
        self.naive.level -= amount
        # giving back never makes it more than full
        self.naive.level = min(self.naive.level, self.naive.capacity)

    @rule(amount=st.floats(0, 10))
    def try_take(self, amount: float) -> None:
        wait = self.bucket.try_take(amount, self.now)
        missing = amount - self.naive.level
        if wait:
            assert math.isclose(wait, missing / 2.5, abs_tol=CLOSE)
        else:
            assert missing <= CLOSE
            self.naive.level -= amount

    @rule(amount=st.floats(0, 10))
    def reserve(self, amount: float) -> None:
        wait = self.bucket.reserve(amount, self.now)
        assert math.isclose(wait, max(0, amount - self.naive.level) / 2.5, abs_tol=CLOSE)
        self.naive.level -= amount

    @invariant()
    def levels_agree(self) -> None:
        assert math.isclose(self.bucket.level(self.now), self.naive.level, abs_tol=CLOSE)
        full_in = (self.naive.capacity - self.naive.level) / self.naive.rate
        assert math.isclose(self.bucket.full_in(self.now), full_in, abs_tol=CLOSE)


def test_it_is_a_bucket_as_everybody_would_write_it() -> None:
    """Level, waits and reservations of the bucket are those of a naive one, whatever is done to it."""
    run_state_machine_as_test(BucketMachine, settings=settings(max_examples=30))


@given(st.floats(0.1, 100), st.floats(0.1, 100), st.lists(st.floats(0, 1), max_size=20))
def test_reservations_are_granted_in_order(capacity: float, rate: float, shares: list[float]) -> None:
    """Whoever reserves first is served first, whatever the sizes: waits never decrease."""
    bucket = TokenBucket(capacity, rate)
    waits = [bucket.reserve(share * capacity, 0.0) for share in shares]
    assert all(later >= earlier - CLOSE for earlier, later in pairwise(waits) if later)


@given(st.floats(0.5, 1000), st.floats(0.01, 0.99), st.floats(0, 1e6))
def test_the_wait_is_exact(limit: float, share: float, now: float) -> None:
    """After the wait the units are there; a millisecond's worth earlier they are not."""
    bucket = TokenBucket.per_minute(limit)
    bucket.take(limit, now)
    wait = bucket.wait(limit * share, now)
    assert math.isclose(wait, 60 * share, rel_tol=1e-6)
    assert bucket.try_take(limit * share, now + wait - 0.001) > 0
    assert bucket.try_take(limit * share, now + wait) == 0


def test_more_than_it_holds_never_comes() -> None:
    """An amount above the capacity waits for ever, and cannot be reserved."""
    bucket = TokenBucket(5, 1)
    assert bucket.wait(5.1, 0.0) == math.inf
    assert bucket.try_take(6, 0.0) == math.inf
    with pytest.raises(ValueError, match="never come out"):
        bucket.reserve(6, 0.0)
    assert bucket.level(0.0) == 5


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
@pytest.mark.parametrize("name", ["capacity", "rate"])
def test_a_bucket_has_positive_finite_sizes(name: str, value: Any) -> None:
    """A capacity or rate of zero, infinity or less is refused by name."""
    with pytest.raises(ValueError, match=f"{name} must be a positive"):
        TokenBucket(**{"capacity": 1.0, "rate": 1.0, name: value})

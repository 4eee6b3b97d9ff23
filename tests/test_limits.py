"""The token bucket against the one that everybody would write first."""

import math
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
    def ask(self, amount: float) -> None:
        wait = self.bucket.wait(amount, self.now)
        assert math.isclose(wait, max(0, amount - self.naive.level) / 2.5, abs_tol=CLOSE)

    @invariant()
    def levels_agree(self) -> None:
        assert math.isclose(self.bucket.level(self.now), self.naive.level, abs_tol=CLOSE)
        full_in = (self.naive.capacity - self.naive.level) / self.naive.rate
        assert math.isclose(self.bucket.full_in(self.now), full_in, abs_tol=CLOSE)


def test_it_is_a_bucket_as_everybody_would_write_it() -> None:
    """Level and waits of the bucket are those of a naive one, whatever is done to it."""
    run_state_machine_as_test(BucketMachine, settings=settings(max_examples=30))


@given(st.floats(0.5, 1000), st.floats(0.01, 0.99), st.floats(0, 1e6))
def test_the_wait_is_exact(limit: float, share: float, now: float) -> None:
    """After the wait the units are there; a millisecond's worth earlier they are not."""
    bucket = TokenBucket.per_minute(limit)
    bucket.take(limit, now)
    wait = bucket.wait(limit * share, now)
    assert math.isclose(wait, 60 * share, rel_tol=1e-6)
    assert bucket.wait(limit * share, now + wait - 0.001) > 0
    assert bucket.wait(limit * share, now + wait) == 0


def test_more_than_it_holds_never_comes() -> None:
    """An amount above the capacity waits for ever."""
    bucket = TokenBucket(5, 1)
    assert bucket.wait(5.1, 0.0) == math.inf


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
@pytest.mark.parametrize("name", ["capacity", "rate"])
def test_a_bucket_has_positive_finite_sizes(name: str, value: Any) -> None:
    """A capacity or rate of zero, infinity or less is refused by name."""
    with pytest.raises(ValueError, match=f"{name} must be a positive"):
        TokenBucket(**{"capacity": 1.0, "rate": 1.0, name: value})

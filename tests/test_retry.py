"""Backoff, retries and retry budgets: the published formulas, and no wait that cannot help."""

import math
import random
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from workbench.errors import (
    ConfigurationError,
    InvalidRequestError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)
from workbench.resilience.backoff import Backoff
from workbench.resilience.budget import RetryBudget
from workbench.resilience.retry import Decision, RetryPolicy

DOWN = ServerError("down", provider="p", status=500)
NEVER = Backoff(0)


class Highest(random.Random):
    """Draws the highest number there is, so that a formula shows its bound."""

    def random(self) -> float:
        return 1.0


class Lowest(random.Random):
    def random(self) -> float:
        return 0.0


# -- backoff -------------------------------------------------------------------------------------------

AWS = {"base": 0.010, "cap": 2.0}  # its base is 5 ms, and its first exponent is 1


@pytest.mark.parametrize("attempt", range(1, 12))
def test_the_aws_simulators_formulas(attempt: int) -> None:
    """Exponential, full and equal backoff are the AWS simulator's: base 5 ms, cap 2 s, exponents from 1."""
    ceiling = min(2.0, 0.005 * 2**attempt)
    low, high = Lowest(), Highest()
    assert Backoff(**AWS, jitter="none").wait(attempt, high) == ceiling
    full, equal = Backoff(**AWS, jitter="full"), Backoff(**AWS, jitter="equal")
    assert (full.wait(attempt, high), full.wait(attempt, low)) == (0, ceiling)
    assert (equal.wait(attempt, high), equal.wait(attempt, low)) == (ceiling / 2, ceiling)


def test_full_jitter_is_uniform() -> None:
    """The waits of full jitter are spread evenly from 0 to the ceiling."""
    rng = random.Random(1)
    waits = [Backoff(0.01, cap=2, jitter="full").wait(4, rng) for _ in range(4000)]
    assert fmean(waits) == pytest.approx(0.04, rel=0.03)
    assert [sum(wait < 0.08 * q for wait in waits) / 4000 for q in (0.25, 0.5, 0.75)] == pytest.approx(
        [0.25, 0.5, 0.75], abs=0.03
    )


def test_decorrelated_jitter_grows_from_the_wait_before() -> None:
    """Decorrelated jitter is min(cap, U(base, 3 * previous)), and begins at the base."""
    backoff = Backoff(0.005, cap=2.0, jitter="decorrelated")
    assert backoff.wait(1, Highest()) == pytest.approx(0.015)
    assert backoff.wait(2, Highest(), 0.1) == pytest.approx(0.3)
    assert backoff.wait(9, Highest(), 1.9) == 2.0
    assert backoff.wait(9, Lowest(), 1.9) == 0.005


def test_the_sdks_backoff() -> None:
    """Both SDKs wait min(0.5 * 2^n, 8) * (1 - 0.25 U), n from 0."""
    backoff = Backoff(0.5, cap=8, jitter=0.25)
    assert [backoff.wait(n, Lowest()) for n in (1, 2, 3, 4, 5, 6)] == [0.5, 1, 2, 4, 8, 8]
    assert backoff.wait(5, Highest()) == 6


def test_no_wait_and_a_constant_one() -> None:
    """A base of 0 never waits, a factor of 1 always as long."""
    rng = random.Random(0)
    assert [NEVER.wait(n, rng) for n in (1, 5, 50)] == [0, 0, 0]
    assert [Backoff(1.5, factor=1, jitter="none").wait(n, rng) for n in (1, 5, 50)] == [1.5] * 3


@given(
    base=st.floats(0, 100),
    cap=st.floats(0, 100),
    factor=st.floats(1, 10),
    jitter=st.one_of(st.sampled_from(["none", "equal", "full", "decorrelated"]), st.floats(0, 1)),
    retry=st.integers(1, 100_000),
    previous=st.floats(0, 100),
)
def test_a_wait_is_never_above_the_cap(
    base: float, cap: float, factor: float, jitter: Any, retry: int, previous: float
) -> None:
    """Whatever the settings and however many retries there were, 0 <= wait <= cap."""
    assert 0 <= Backoff(base, cap, factor, jitter).wait(retry, random.Random(0), previous) <= cap


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"base": -1}, "base is a number of at least 0, got -1"),
        ({"cap": math.nan}, "cap is a number of at least 0, got nan"),
        ({"factor": 0.5}, "factor is a number of at least 1, got 0.5"),
        ({"jitter": "ful"}, "jitter is 'none', .*, got 'ful'"),
        ({"jitter": 1.5}, "or a share from 0 to 1, got 1.5"),
    ],
)
def test_a_wrong_backoff(settings: Any, complaint: str) -> None:
    """A setting out of its range is refused, with its name, its value and what is allowed."""
    with pytest.raises(ConfigurationError, match=complaint):
        Backoff(**settings)


# -- retries -------------------------------------------------------------------------------------------


def decisions(policy: RetryPolicy, *errors: Exception, took: float = 0.0) -> list[Decision]:
    """What is decided for a call whose attempts take so long and fail with these, one after the other."""
    now, rng = 0.0, random.Random(0)
    retries, made = policy.begin(now), []
    for error in errors:
        made.append(retries.after(error, now + took, rng))
        if made[-1].wait is None:
            break
        now += took + made[-1].wait
    return made


CONSTANT = Backoff(2, factor=1, jitter="none")


def test_attempts_are_counted_from_the_first() -> None:
    """Three attempts are the first and two retries."""
    made = decisions(RetryPolicy(attempts=3, backoff=CONSTANT), *[DOWN] * 5)
    assert made == [(2, "backoff"), (2, "backoff"), (None, "attempts")]


def test_without_a_limit_it_goes_on() -> None:
    """attempts=None and max_elapsed=None retry for ever: the don't, for those who want to see it."""
    policy = RetryPolicy(attempts=None, max_elapsed=None, backoff=CONSTANT)
    assert len(decisions(policy, *[DOWN] * 3000)) == 3000
    assert all(each.wait == 2 for each in decisions(policy, *[DOWN] * 3000))


def test_the_total_time_is_bounded() -> None:
    """No wait ends after 30 seconds from the call's begin, whatever the attempts took."""
    assert decisions(RetryPolicy(attempts=None, backoff=CONSTANT), *[DOWN] * 99, took=5.0) == [
        *[(2, "backoff")] * 4,  # at 5, 12, 19, 26 seconds
        (None, "time"),  # at 33
    ]
    assert decisions(RetryPolicy(backoff=CONSTANT), DOWN, took=28.0) == [(None, "time")]


def test_a_deadline_bounds_it_too() -> None:
    """A call that is of no use after its deadline does not wait beyond it."""
    retries = RetryPolicy(backoff=CONSTANT, max_elapsed=None).begin(100.0, deadline=103.0)
    assert retries.after(DOWN, 100.5, random.Random(0)) == (2, "backoff")
    assert retries.after(DOWN, 102.6, random.Random(0)) == (None, "time")


def limited(seconds: float) -> RateLimitError:
    return RateLimitError("slow down", provider="p", status=429, retry_after=seconds)


def test_retry_after_is_a_floor() -> None:
    """What the provider asks to wait is the least; a longer backoff stays as it is."""
    policy = RetryPolicy(attempts=9, backoff=CONSTANT)
    made = decisions(policy, limited(7), limited(1), limited(0))
    assert made == [(7, "retry-after"), (2, "backoff"), (2, "backoff")]


def test_a_floor_does_not_feed_the_backoff() -> None:
    """After a long Retry-After, decorrelated jitter goes on from its own wait."""
    backoff = Backoff(0.1, cap=100, jitter="decorrelated")
    retries = RetryPolicy(backoff=backoff).begin(0.0)
    assert retries.after(limited(20), 0.0, Highest()) == (20, "retry-after")
    assert retries.after(DOWN, 20.0, Highest()).wait == pytest.approx(0.9)


def test_a_wait_that_cannot_help_is_not_begun() -> None:
    """Asked to wait longer than there is time, or than it is ready to, a call gives up at once."""
    assert decisions(RetryPolicy(), limited(40)) == [(None, "time")]
    assert decisions(RetryPolicy(max_elapsed=None), limited(121)) == [(None, "retry-after too long")]
    assert decisions(RetryPolicy(max_elapsed=None), limited(120)) == [(120, "retry-after")]


def test_which_errors_are_retried() -> None:
    """By default, those that say so of themselves, timeouts and lost connections; else, as one says."""
    wrong = InvalidRequestError("bad", provider="p", status=400)
    assert decisions(RetryPolicy(), wrong) == [(None, "not retryable")]
    assert decisions(RetryPolicy(), KeyError("x")) == [(None, "not retryable")]
    for error in (DOWN, TimeoutError(), ConnectionResetError()):
        assert decisions(RetryPolicy(backoff=CONSTANT), error) == [(2, "backoff")]
    odd = RetryPolicy(backoff=CONSTANT, retry_on=lambda error: isinstance(error, KeyError))
    assert decisions(odd, KeyError("x")) == [(2, "backoff")]
    assert decisions(odd, DOWN) == [(None, "not retryable")]


@given(
    attempts=st.one_of(st.none(), st.integers(1, 20)),
    max_elapsed=st.floats(0, 60),
    backoff=st.builds(Backoff, st.floats(0.01, 10), st.floats(0.01, 60)),
    takes=st.lists(st.floats(0.01, 10), min_size=1, max_size=40),
    asked=st.lists(st.one_of(st.none(), st.floats(0, 200)), min_size=1, max_size=40),
)
def test_the_bounds_hold(
    attempts: int | None,
    max_elapsed: float,
    backoff: Backoff,
    takes: list[float],
    asked: list[float | None],
) -> None:
    """Whatever happens: not too many attempts, none begun too late, and none sooner than was asked for."""
    policy = RetryPolicy(attempts=attempts, max_elapsed=max_elapsed, backoff=backoff)
    now, rng, retries = 0.0, random.Random(1), policy.begin(0.0)
    for took, seconds in zip(takes, asked, strict=False):
        now += took
        wait, _ = retries.after(limited(seconds or 0.0), now, rng)
        if wait is None:
            break
        assert wait >= (seconds or 0.0)
        now += wait
        assert now <= max_elapsed
        assert attempts is None or retries.attempt <= attempts


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"attempts": 0}, "attempts is a whole number of at least 1, the first included, got 0"),
        ({"attempts": 2.5}, "got 2.5"),
        ({"max_elapsed": -1.0}, "max_elapsed is a number of seconds, got -1.0"),
        ({"max_retry_after": math.nan}, "max_retry_after is a number of seconds, got nan"),
    ],
)
def test_a_wrong_policy(settings: Any, complaint: str) -> None:
    """A setting out of its range is refused, with its name, its value and what is allowed."""
    with pytest.raises(ConfigurationError, match=complaint):
        RetryPolicy(**settings)


# -- budgets -------------------------------------------------------------------------------------------


def test_grpc_retries_above_half_only() -> None:
    """gRPC A6: a failure costs 1, a success pays 0.1, and at half of the tokens there are no retries."""
    budget = RetryBudget.grpc(10, 0.1)
    for failures in range(1, 5):
        budget.failure(0.0)
        assert budget.tokens(0.0) == 10 - failures
        assert budget.try_retry(0.0) == 0  # what counts is the failure, not the retry
    budget.failure(0.0)
    assert budget.tokens(0.0) == 5
    assert budget.try_retry(0.0) is None
    budget.success(0.0)
    assert budget.try_retry(0.0) == 0


@pytest.mark.parametrize(("share", "goes_on"), [(1 / 12, True), (1 / 10, False)])
def test_grpc_stops_above_one_failure_in_eleven(share: float, goes_on: bool) -> None:
    """With 10 tokens and a ratio of 0.1, retries go on below a failure share of 1/11 and stop above it."""
    budget = RetryBudget.grpc(10, 0.1)
    allowed = []
    for _ in range(4000):
        for _ in range(round(1 / share) - 1):
            budget.success(0.0)
        budget.failure(0.0)
        allowed.append(budget.try_retry(0.0) is not None)
    assert (sum(allowed[-1000:]) > 900) is goes_on


def test_aws_has_a_hundred_retries_that_nothing_pays_back() -> None:
    """The AWS quota of 500: 5 a retry, 10 after a timeout; a success at a retry gets it back, else pays 1."""
    budget = RetryBudget.aws()
    assert [budget.try_retry(0.0) for _ in range(101)] == [*[5] * 100, None]
    budget.success(0.0, spent=5)
    assert budget.tokens(0.0) == 5
    budget.success(0.0)
    assert budget.tokens(0.0) == 6
    assert budget.try_retry(0.0, timeout=True) is None
    assert RetryBudget.aws().try_retry(0.0, timeout=True) == 10


def test_finagle_lets_a_fifth_and_a_reserve() -> None:
    """Finagle: a request pays 1, a retry costs 5, 10 retries a second come what may, all for 10 seconds."""
    budget = RetryBudget.finagle(0.2, per_second=10, ttl=10)
    assert sum(budget.try_retry(0.0) is not None for _ in range(1000)) == 100  # the reserve of 10 seconds
    for _ in range(500):
        budget.request(0.0)
    assert sum(budget.try_retry(0.0) is not None for _ in range(1000)) == 100  # a fifth of 500
    assert budget.try_retry(8.9) is None
    assert sum(budget.try_retry(10.0) is not None for _ in range(1000)) == 100  # all is forgotten


def test_a_tenth_of_the_calls() -> None:
    """The default budget keeps the retries of calls that all fail at a tenth of them, and a reserve of 10."""
    policy = RetryPolicy(attempts=10, backoff=NEVER, budget=RetryBudget())
    rng, retried = random.Random(0), 0
    for call in range(1000):
        retries = policy.begin(float(call))
        while retries.after(DOWN, float(call), rng).wait is not None:
            retried += 1
    assert retried == pytest.approx(110, abs=2)


def test_a_call_pays_and_gets_back() -> None:
    """A budget that refunds gets the cost of the last retry back, and of no other, when that succeeds."""
    budget = RetryBudget.aws()
    retries = RetryPolicy(backoff=NEVER, budget=budget).begin(0.0)
    retries.after(ProviderTimeoutError("late", provider="p"), 0.0, random.Random(0))
    assert budget.tokens(0.0) == 490
    retries.after(DOWN, 0.0, random.Random(0))
    assert budget.tokens(0.0) == 485
    retries.success(0.0)
    assert budget.tokens(0.0) == 490


def test_an_empty_budget_is_a_reason_to_give_up() -> None:
    """Where the budget has nothing left, the call fails at once and says why."""
    policy = RetryPolicy(backoff=NEVER, budget=RetryBudget(1, per_request=0))
    assert decisions(policy, DOWN, DOWN) == [(0, "backoff"), (None, "budget")]


@pytest.mark.parametrize("settings", [{"capacity": -1}, {"per_retry": math.nan}, {"ttl": 0}])
def test_a_wrong_budget(settings: Any) -> None:
    """Negative amounts and times are refused."""
    with pytest.raises(ConfigurationError, match=r"at least 0|positive"):
        RetryBudget(**settings)


class BudgetMachine(RuleBasedStateMachine):
    """A budget with everything in it, beside an account that keeps all of its entries."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget(
            20,
            per_request=0.5,
            per_success=1,
            per_failure=0.25,
            per_retry=3,
            per_timeout=5,
            refund=True,
            floor=4,
        )
        self.tokens = 20.0

    def pay(self, amount: float) -> None:
        self.tokens = min(20.0, max(0.0, self.tokens + amount))

    @rule()
    def request(self) -> None:
        self.budget.request(0.0)
        self.pay(0.5)

    @rule(spent=st.sampled_from([0.0, 3.0, 5.0]))
    def success(self, spent: float) -> None:
        self.budget.success(0.0, spent)
        self.pay(spent or 1)

    @rule()
    def failure(self) -> None:
        self.budget.failure(0.0)
        self.pay(-0.25)

    @rule(timeout=st.booleans())
    def retry(self, timeout: bool) -> None:
        cost = 5 if timeout else 3
        allowed = self.tokens >= cost and self.tokens > 4
        assert self.budget.try_retry(0.0, timeout=timeout) == (cost if allowed else None)
        if allowed:
            self.pay(-cost)

    @invariant()
    def the_same(self) -> None:
        assert self.budget.tokens(0.0) == self.tokens


class WindowedBudgetMachine(RuleBasedStateMachine):
    """A budget that forgets, beside a list of entries with the second of each."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget.finagle(0.5, per_second=1, ttl=10)
        self.entries: list[tuple[int, float]] = []
        self.now = 0

    @rule(seconds=st.integers(0, 15))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 9))
    def request(self, count: int) -> None:
        for _ in range(count):
            self.budget.request(self.now)
            self.entries.append((self.now, 1))

    @rule()
    def retry(self) -> None:
        tokens = 20 + sum(amount for at, amount in self.entries if at > self.now - 10)
        assert self.budget.tokens(self.now) == tokens
        assert self.budget.try_retry(self.now) == (2 if tokens >= 2 else None)
        if tokens >= 2:
            self.entries.append((self.now, -2))


@pytest.mark.parametrize("machine", [BudgetMachine, WindowedBudgetMachine])
def test_it_is_an_account_as_everybody_would_keep_it(machine: type[RuleBasedStateMachine]) -> None:
    """Whatever is done to a budget, its tokens and its answers are those of a naive account."""
    run_state_machine_as_test(machine)

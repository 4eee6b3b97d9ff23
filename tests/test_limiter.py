"""The client's rate limiter: never above the limit, first in first out, and no refusal by the provider."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.clock import now, run
from workbench.errors import CostExceedsLimitError
from workbench.fanout import fan_out
from workbench.limiter import RateLimiter
from workbench.simulator import RateLimits, Simulator

RPM, TPM = 30.0, 600.0
ARRIVALS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.7, 10.0, 90.0]), st.integers(0, 600)),
    min_size=1,
    max_size=40,
)
Sent = list[tuple[float, float]]  # when, how many tokens


async def send(
    arrivals: list[tuple[float, int]], limiter: RateLimiter, order: list[int] | None = None
) -> Sent:
    """Send a request after each gap; what was sent when."""
    sent: Sent = []

    async def one(index: int, tokens: int) -> None:
        arrived = now()
        waited = await limiter.acquire(tokens)
        assert waited == pytest.approx(now() - arrived)
        sent.append((now(), tokens))
        if order is not None:
            order.append(index)

    async with asyncio.TaskGroup() as group:
        for index, (gap, tokens) in enumerate(arrivals):
            await asyncio.sleep(gap)
            group.create_task(one(index, tokens))
    return sent


def most_above(sent: Sent, capacity: float, rate: float) -> float:
    """By how much, over all windows, what was sent exceeds `capacity + rate × window`."""
    return max(
        sum(amount for _, amount in sent[first : last + 1])
        - capacity
        - rate * (sent[last][0] - sent[first][0])
        for first in range(len(sent))
        for last in range(first, len(sent))
    )


@given(ARRIVALS, st.sampled_from([1.0, 0.5]))
def test_never_above_the_limit_in_any_window(arrivals: list[tuple[float, int]], burst: float) -> None:
    """In no window, however short or long, more is sent than the burst and what the window pays."""
    arrivals = [(gap, min(tokens, int(TPM * burst))) for gap, tokens in arrivals]
    sent = run(lambda: send(arrivals, RateLimiter(RPM, TPM, burst=burst)))
    assert len(sent) == len(arrivals)
    assert most_above([(at, 1) for at, _ in sent], RPM * burst, RPM / 60) < 1e-6
    assert most_above(sent, TPM * burst, TPM / 60) < 1e-6


@given(ARRIVALS)
def test_first_in_first_out_whatever_the_size(arrivals: list[tuple[float, int]]) -> None:
    """Requests are sent in the order in which they came, so that a large one does not starve."""
    order: list[int] = []
    run(lambda: send(arrivals, RateLimiter(RPM, TPM), order))
    assert order == list(range(len(arrivals)))


@given(ARRIVALS)
def test_no_longer_than_needed(arrivals: list[tuple[float, int]]) -> None:
    """Whoever waits is sent at the instant at which one of the limits lets them: no second is wasted."""
    sent = run(lambda: send(arrivals, RateLimiter(RPM, TPM)))
    arrived = 0.0
    for index, (gap, _) in enumerate(arrivals):
        arrived += gap
        at = sent[index][0]
        if at > arrived + 1e-6 and at > sent[index - 1][0] + 1e-6:  # it waited for the rate, not in line
            until = sent[: index + 1]
            requests = [(when, 1.0) for when, _ in until]
            slack = max(
                _last_window(requests, RPM, RPM / 60) / RPM,
                _last_window(until, TPM, TPM / 60) / TPM,
            )
            assert slack == pytest.approx(0, abs=1e-6)


def _last_window(sent: Sent, capacity: float, rate: float) -> float:
    """How much of the fullest window that ends with the last request is left (negative)."""
    end = sent[-1][0]
    return max(
        sum(amount for _, amount in sent[first:]) - capacity - rate * (end - sent[first][0])
        for first in range(len(sent))
    )


def test_requests_that_wait_for_tokens_are_charged_when_they_are_sent() -> None:
    """What stood in the queue for tokens counts as a request when it is sent, not when it came."""
    limiter = RateLimiter(60, 60, burst=0.5)
    arrivals = [(0.0, 30), (0.0, 30), (30.0, 0), *[(0.0, 0)] * 40]
    sent = run(lambda: send(arrivals, limiter))
    assert sum(at == 30 for at, _ in sent) == 30  # the one that waited, and 29 others


def test_exact_instants() -> None:
    """60 a minute after a burst of 2 is one a second."""
    limiter = RateLimiter(60, burst=2 / 60)
    sent = run(lambda: send([(0, 0)] * 5, limiter))
    assert [at for at, _ in sent] == pytest.approx([0, 0, 1, 2, 3])


def test_without_limits_nobody_waits() -> None:
    """A limiter without limits lets all through at once."""
    assert run(lambda: send([(0, 10**9)] * 100, RateLimiter())) == [(0, 10**9)] * 100


def test_more_than_the_limit_is_refused_at_once() -> None:
    """What can never be granted is an error that says so, without waiting, and blocks nobody."""

    async def main() -> float:
        limiter = RateLimiter(rpm=100, tpm=60)
        await limiter.acquire(60)
        with pytest.raises(CostExceedsLimitError, match="61 tokens can never pass a limit of 60: split it"):
            await limiter.acquire(61)
        return now() + await limiter.acquire(1)

    assert run(main) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rpm": 0}, "capacity|rate"),
        ({"tpm": -1}, "must be a positive, finite number, got -1"),
        ({"rpm": float("inf")}, "must be a positive, finite number, got inf"),
        ({"rpm": 1, "burst": 0}, r"0 < burst <= 1, got 0"),
        ({"rpm": 1, "burst": 1.5}, r"0 < burst <= 1, got 1\.5"),
    ],
)
def test_wrong_settings(options: dict[str, Any], message: str) -> None:
    """A wrong limit is refused when the limiter is made."""
    with pytest.raises(ValueError, match=message):
        RateLimiter(**options)


@pytest.mark.parametrize("tokens", [-1, float("nan")])
def test_wrong_tokens(tokens: float) -> None:
    """A negative cost would give tokens away."""
    with pytest.raises(ValueError, match=f"tokens must be 0 or more, got {tokens}"):
        run(lambda: RateLimiter(tpm=60).acquire(tokens))


@given(st.lists(st.integers(1, 60), min_size=2, max_size=12), st.data())
def test_who_gives_up_has_taken_nothing(costs: list[int], data: st.DataObject) -> None:
    """The others are sent as if whoever was cancelled in the queue had never come."""
    victims = data.draw(st.sets(st.integers(1, len(costs) - 1)))

    async def schedule(cancel: bool) -> list[float]:
        limiter = RateLimiter(tpm=60)
        sent: dict[int, float] = {}

        async def one(index: int) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await limiter.acquire(costs[index])
                sent[index] = now()

        await limiter.acquire(60)  # so that all have to wait
        there = [i for i in range(len(costs)) if cancel or i not in victims]
        tasks = {i: asyncio.create_task(one(i)) for i in there}
        await asyncio.sleep(0)
        for victim in victims & tasks.keys():
            tasks[victim].cancel()
        await asyncio.gather(*tasks.values())
        return [at for index, at in sorted(sent.items()) if index not in victims]

    assert run(lambda: schedule(True)) == pytest.approx(run(lambda: schedule(False)))


def test_the_first_in_the_queue_may_give_up_late() -> None:
    """When the first in line goes after a while, the next is sent as soon as its own need is met."""

    async def main() -> tuple[float, float]:
        limiter = RateLimiter(tpm=60)
        await limiter.acquire(60)
        large = asyncio.create_task(limiter.acquire(60))
        small = asyncio.create_task(limiter.acquire(10))
        await asyncio.sleep(15)
        large.cancel()
        return await small, now()

    assert run(main) == (15, 15)


def test_a_refund_lets_the_first_in_the_queue_go_earlier() -> None:
    """Tokens that were not used are there at once, for the first who waits and for nobody else."""

    async def main() -> list[float]:
        limiter = RateLimiter(tpm=60, refund=True)
        await limiter.acquire(60)
        waiting = [asyncio.create_task(limiter.acquire(tokens)) for tokens in (40, 1)]
        await asyncio.sleep(10)
        limiter.settle(60, 25)
        return [await task for task in waiting]

    assert run(main) == pytest.approx([10, 10])


def test_more_use_than_estimated_holds_the_queue_back() -> None:
    """Tokens used beyond the estimate are paid back first, also by who already waits."""

    async def main() -> float:
        limiter = RateLimiter(tpm=60)
        await limiter.acquire(60)
        waiting = asyncio.create_task(limiter.acquire(10))
        await asyncio.sleep(5)
        limiter.settle(60, 100)
        return await waiting

    assert run(main) == pytest.approx(50)


def test_without_refund_unused_tokens_stay_charged() -> None:
    """By default, as with OpenAI, what was asked for counts, and a settlement only ever adds."""

    async def main() -> float:
        limiter = RateLimiter(tpm=60)
        await limiter.acquire(60)
        limiter.settle(60, 1)
        return await limiter.acquire(60)

    assert run(main) == pytest.approx(60)


def test_settling_needs_no_token_limit() -> None:
    """Where only requests are limited, usage is of no interest."""
    limiter = RateLimiter(rpm=60)
    limiter.settle(10, 20)
    assert run(limiter.acquire) == 0


def test_one_limiter_for_two_runs() -> None:
    """In the next run, on a clock that starts again, the limiter goes on from where it was."""
    limiter = RateLimiter(rpm=1)

    async def main() -> float:
        return await limiter.acquire()

    assert run(main) == 0
    assert run(main) == pytest.approx(60)
    assert run(main) == pytest.approx(60)


def test_a_queue_in_each_of_two_runs() -> None:
    """Tasks may stand in line in one run after another."""
    limiter = RateLimiter(rpm=60, burst=1 / 60)
    for first in (0, 1):
        sent = run(lambda: send([(0, 0)] * 4, limiter))
        assert [at for at, _ in sent] == pytest.approx([first + i for i in range(4)])


def test_a_run_that_was_cut_leaves_no_queue() -> None:
    """Whoever waited in a run that was cancelled is not waited for in the next one."""
    limiter = RateLimiter(rpm=60, burst=1 / 60)

    async def cut() -> None:
        async with asyncio.timeout(1.5):
            await send([(0, 0)] * 10, limiter)

    with pytest.raises(TimeoutError):
        run(cut)
    assert run(limiter.acquire) == pytest.approx(1)  # since the last one was sent


def test_on_the_wall_clock() -> None:
    """On the wall clock it waits for real."""
    limiter = RateLimiter(rpm=6000, burst=1 / 6000)

    async def main() -> float:
        await limiter.acquire()
        return await limiter.acquire()

    assert 0.005 < run(main, virtual=False) < 1


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "limits",
    [
        RateLimits(requests=20, tokens=100_000),
        RateLimits(requests=1000, tokens=3000),
        RateLimits(requests=40, tokens=4000),
    ],
    ids=["requests", "tokens", "both"],
)
def test_against_the_provider(provider: str, limits: RateLimits) -> None:
    """At the provider's own limits there is not a single 429 with the limiter, and many without it."""
    assert statuses(provider, limits, limited=True) == {200: 100}
    assert statuses(provider, limits, limited=False).get(429, 0) > 20


def statuses(provider: str, limits: RateLimits, *, limited: bool) -> dict[int | None, int]:
    simulator = Simulator(seed=3, limits=limits)

    async def call(prompt: str) -> object:
        if provider == "openai":
            client = simulator.openai(max_retries=0)
            return await client.chat.completions.create(
                model="gpt-5.4-mini", messages=[{"role": "user", "content": prompt}], max_tokens=100
            )
        claude = simulator.anthropic(max_retries=0)
        return await claude.messages.create(
            model="claude-sonnet-5", messages=[{"role": "user", "content": prompt}], max_tokens=100
        )

    prompts = ["word " * (1 + 7 * i % 60) for i in range(100)]
    rate = RateLimiter(limits.requests, limits.tokens) if limited else None
    run(
        lambda: fan_out(
            call, prompts, limit=50, rate=rate, cost=lambda p: len(p.split()) + 110.0, on_error="return"
        )
    )
    return simulator.log.statuses()

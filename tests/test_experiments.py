"""The experiment kernel, arrivals and services as data, and many clients under the live policies."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import ConfigurationError, OverloadedError
from workbench.experiments import Exponential
from workbench.experiments.kernel import Kernel
from workbench.experiments.service import Server
from workbench.resilience import Backoff, CircuitBreaker, Hedge, RetryBudget, RetryPolicy
from workbench.resilience.throttle import AdaptiveThrottle

AT_ONCE = RetryPolicy(attempts=3, backoff=Backoff(0))


# -- the kernel ---------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(0, 5), max_size=5), max_size=6))
def test_processes_go_on_in_the_order_of_time_and_of_asking(gaps: list[list[int]]) -> None:
    """Every process is resumed at exactly its instants, in order; equal instants in the order of asking."""
    kernel, seen = Kernel(), []

    def process(number: int) -> Iterator[float]:
        for at in itertools.accumulate(gaps[number]):
            yield at
            seen.append((kernel.now, number))
            assert kernel.now == at

    for number in range(len(gaps)):
        kernel.start(process(number))
    kernel.run()
    assert len(seen) == sum(map(len, gaps))
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)


def test_a_process_starts_others_while_it_runs() -> None:
    """What a process starts at this very instant runs after it, and before anything later."""
    kernel, seen = Kernel(), []

    def child(name: str) -> Iterator[float]:
        seen.append((kernel.now, name))
        yield from ()

    def parent() -> Iterator[float]:
        yield 1.0
        kernel.start(child("now"))
        kernel.start(child("later"), 1.5)
        seen.append((kernel.now, "parent"))
        yield 1.25

    kernel.start(parent())
    kernel.run()
    assert seen == [(1.0, "parent"), (1.0, "now"), (1.5, "later")]


def test_a_run_stops_in_time_and_goes_on() -> None:
    """Until an instant, its own included, everything happens; the rest waits for the next run."""
    kernel = Kernel()
    kernel.start(iter([1.0, 2.0, 3.0]))
    kernel.run(until=2.0)
    assert kernel.now == 2.0
    kernel.run()
    assert kernel.now == 3.0


def test_time_goes_forward_only() -> None:
    """A process that asks for the past is an error that names the instant."""
    kernel = Kernel()
    kernel.start(iter([2.0, 1.0]))
    with pytest.raises(ValueError, match=r"cannot go on at 1\.0: it is 2\.0 already"):
        kernel.run()
    with pytest.raises(ValueError, match=r"cannot begin at 1\.0"):
        kernel.start(iter([]), 1.0)


# -- arrivals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrivals", "cv"),
    [
        (wb.Arrivals.constant(50), 0.0),
        (wb.Arrivals.poisson(50), 1.0),
        (wb.Arrivals.gamma(50, cv=3.0), 3.0),
    ],
)
def test_arrivals_have_their_rate_and_burstiness(arrivals: wb.Arrivals, cv: float) -> None:
    """Rate and the gaps' coefficient of variation are those that were asked for."""
    instants = arrivals.until(2000, random.Random(1))
    gaps = [b - a for a, b in itertools.pairwise(instants)]
    mean = sum(gaps) / len(gaps)
    spread = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert 1 / mean == pytest.approx(50, rel=0.03)
    assert spread / mean == pytest.approx(cv, abs=0.1)


def test_a_spike_and_a_trace() -> None:
    """A spike lasts as long as it says, and a trace is replayed as it was."""
    spike = wb.Arrivals.spike(10, to=100, start=100, end=200).until(300, random.Random(1))
    counts = [sum(start <= instant < start + 100 for instant in spike) for start in (0, 100, 200)]
    assert counts == [pytest.approx(1000, rel=0.1), pytest.approx(10_000, rel=0.03), counts[2]]
    assert counts[2] == pytest.approx(1000, rel=0.1)
    assert wb.Arrivals.replay([3, 1, 2]).until(3, random.Random()) == [1, 2]


@pytest.mark.parametrize("rates", [((1, 5),), ((0, 5), (0, 6)), ((0, -1),), ((0, math.inf),)])
def test_wrong_rates(rates: tuple[tuple[float, float], ...]) -> None:
    """Rates that are out of order, negative or infinite are refused."""
    with pytest.raises(ConfigurationError, match="rate"):
        wb.Arrivals(rates)


# -- the service --------------------------------------------------------------------------------------


def test_a_queue_is_first_come_first_served() -> None:
    """With two places and one to wait, the third waits for the first place, and the fourth is refused."""
    server = Server(wb.Service(seconds=2.0, slots=2, queue=1), random.Random(1))
    answers = [server.admit(at) for at in (0.0, 0.5, 1.0, 1.5, 2.0)]
    assert [(answer.at, answer.waited) for answer in answers] == [
        (2.0, 0.0),
        (2.5, 0.0),
        (4.0, 1.0),
        (1.5, 0.0),
        (4.5, 0.5),
    ]
    assert [isinstance(answer.error, OverloadedError) for answer in answers] == [0, 0, 0, 1, 0]


def test_latency_grows_with_the_load() -> None:
    """Each request in service makes the next one slower, until it has left."""
    server = Server(wb.Service(seconds=1.0, per_request=0.1), random.Random(1))
    assert [server.admit(at).at for at in (0.0, 0.0, 0.0, 5.0)] == pytest.approx([1.1, 1.2, 1.3, 6.1])


def test_an_outage_ends_what_is_in_service() -> None:
    """A request in service fails when the outage starts, one that comes in it at once, later ones not."""
    server = Server(wb.Service(seconds=2.0, slots=1, outages=((3.0, 5.0),)), random.Random(1))
    answers = [server.admit(at) for at in (0.0, 2.0, 4.0, 5.0)]
    assert [(answer.at, answer.error is None) for answer in answers] == [
        (2.0, True),
        (3.0, False),
        (4.0, False),
        (7.0, True),
    ]


# -- clients ------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_in_any_process() -> None:
    """A play depends on its seed alone, whatever PYTHONHASHSEED is."""
    code = (
        "import hashlib, workbench as wb\n"
        "s = wb.Scenario(arrivals=wb.Arrivals.poisson(50), service=wb.Service(failure_rate=0.3, slots=60),"
        " client=lambda: wb.Resilient(retry=wb.RetryPolicy()), clients=7, seconds=20)\n"
        "r = wb.play(s, 3)\n"
        "print(hashlib.sha256(r._calls.tobytes() + r._attempts.tobytes()).hexdigest())"
    )
    run, env = [sys.executable, "-c", code], {"PYTHONHASHSEED": "1"}
    there = subprocess.run(run, capture_output=True, text=True, check=True, env=env).stdout
    with contextlib.redirect_stdout(io.StringIO()) as here:
        exec(code, {})
    assert here.getvalue() == there


def test_policies_meet_the_same_calls() -> None:
    """On one seed, two policies see the same arrivals, to the last bit."""
    runs = [
        wb.play(
            wb.Scenario(
                arrivals=wb.Arrivals.poisson(20),
                service=wb.Service(failure_rate=0.5),
                client=lambda attempts=attempts: wb.Resilient(retry=RetryPolicy(attempts=attempts)),  # type: ignore[misc]
            )
        ).to_frame()
        for attempts in (1, 4)
    ]
    starts = [run.sort_values("call")["started"].tolist() for run in runs]
    assert starts[0] == starts[1]


def test_a_client_that_has_gone_is_served_all_the_same() -> None:
    """A timeout ends the attempt for the client; the service works on, and its tokens are wasted."""
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.replay([0.0]),
        service=wb.Service(seconds=5.0, tokens_per_second=100),
        client=lambda: wb.Resilient(retry=AT_ONCE, timeout=1.0),
    )
    run = wb.play(scenario)
    assert run.to_frame()[["ended", "attempts", "outcome"]].values.tolist() == [[3.0, 3, "failed"]]
    assert run.attempts_frame()["sent"].tolist() == [0.0, 1.0, 2.0]
    assert run.metrics().wasted_tokens == 1500


def test_a_message_that_is_late_arrives_all_the_same() -> None:
    """A request that reaches the service after its client has given up is load like any other."""
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.replay([0.0]),
        service=wb.Service(seconds=1.0),
        client=lambda: wb.Resilient(retry=AT_ONCE, timeout=1.0),
        network=2.0,
    )
    run = wb.play(scenario)
    assert run.to_frame()["ended"].tolist() == [3.0]
    assert run.attempts_frame()[["worked", "outcome"]].values.tolist() == [[1.0, "lost"]] * 3


def test_a_budget_is_each_clients_own() -> None:
    """Two clients with a budget of one retry make two retries, one client makes one."""

    def retries(clients: int) -> int:
        def client() -> wb.Resilient:
            budget = RetryBudget(1, per_request=0)
            return wb.Resilient(retry=RetryPolicy(attempts=None, backoff=Backoff(0), budget=budget))

        scenario = wb.Scenario(
            arrivals=wb.Arrivals.replay(range(10)),
            service=wb.Service(failure_rate=1.0),
            client=client,
            clients=clients,
        )
        return len(wb.play(scenario).attempts_frame()) - 10

    assert [retries(1), retries(2)] == [1, 2]


def test_an_open_breaker_sends_nothing() -> None:
    """After the failures that open it, calls are rejected without a request."""
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.replay(range(10)),
        service=wb.Service(seconds=0.1, failure_rate=1.0),
        client=lambda: wb.Resilient(breaker=CircuitBreaker.after_failures(3)),
    )
    outcomes = wb.play(scenario).to_frame()["outcome"].tolist()
    assert outcomes == ["failed"] * 3 + ["rejected"] * 7


def test_a_throttle_is_asked_before_each_request() -> None:
    """An overloaded service is spared by clients that throttle themselves."""
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.poisson(100),
        service=wb.Service(seconds=0.1, slots=1, queue=5),
        client=lambda: wb.Resilient(throttle=AdaptiveThrottle(2.0)),
    )
    run = wb.play(scenario)
    rejected = (run.to_frame()["outcome"] == "rejected").mean()
    assert 0.6 < rejected < 0.85


def test_a_hedge_takes_the_first_answer() -> None:
    """A second request after the delay wins if it is faster, and the first one's work is lost."""
    work = iter([5.0, 1.0])
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.replay([0.0]),
        service=wb.Service(seconds=lambda rng: next(work)),
        client=lambda: wb.Resilient(hedge=Hedge(2.0)),
    )
    run = wb.play(scenario)
    assert run.to_frame()[["ended", "attempts"]].values.tolist() == [[3.0, 2]]
    assert run.attempts_frame()["outcome"].tolist() == ["lost", "ok"]


def test_a_hedge_outlives_an_error() -> None:
    """Where one of two requests fails, the other one's answer counts."""
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.replay([0.0]),
        service=wb.Service(seconds=2.0, outages=((1.9, 1.95),)),
        client=lambda: wb.Resilient(hedge=Hedge(1.96)),
    )
    assert wb.play(scenario).to_frame()["outcome"].tolist() == ["failed"]  # it failed before the hedge
    slow = wb.Scenario(
        arrivals=wb.Arrivals.replay([0.0]),
        service=wb.Service(seconds=Exponential(1.0), slots=1, queue=0),
        client=lambda: wb.Resilient(hedge=Hedge(0.0)),
    )
    run = wb.play(slow)
    assert run.attempts_frame()["outcome"].tolist() == ["ok", "failed"]
    assert run.to_frame()["outcome"].tolist() == ["ok"]


def test_metrics_of_a_run() -> None:
    """Success, goodput, percentiles and load are what can be counted by hand."""
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.constant(1),
        service=wb.Service(seconds=0.5, outages=((10.7, 20.2),)),
        client=lambda: wb.Resilient(retry=AT_ONCE),
        seconds=40.5,
    )
    run = wb.play(scenario)
    metrics = run.metrics()
    assert (metrics.calls, metrics.success) == (40, 0.75)
    assert metrics.goodput == pytest.approx(30 / 40.5)
    assert metrics.p50 == pytest.approx(0.5)
    assert metrics.p99 == pytest.approx(0.5)
    assert metrics.attempts_per_call == 1 + 2 * 10 / 40
    assert metrics.amplification == 3
    assert run.metrics(slo=0.4).goodput == 0
    assert run.metrics(start=30).success == 1
    assert run.time_to_recover(20.2) == pytest.approx(0.8)
    assert run.time_to_recover(25) == 0


def test_retries_without_an_end() -> None:
    """Calls without an end are unfinished when the play is over; endless ones at one instant are refused."""

    def scenario(network: float) -> wb.Scenario:
        return wb.Scenario(
            arrivals=wb.Arrivals.replay([0.0, 1.0]),
            service=wb.Service(outages=((0.5, 99.0),)),
            client=lambda: wb.Resilient(
                retry=RetryPolicy(attempts=None, max_elapsed=None, backoff=Backoff(0))
            ),
            network=network,
            seconds=5,
            drain=5,
        )

    calls = wb.play(scenario(0.05)).to_frame().sort_values("call")
    assert calls["outcome"].tolist() == ["unfinished"] * 2
    assert calls["ended"].tolist() == [10, 10]
    assert calls["attempts"].tolist() == pytest.approx([95, 89], abs=2)
    with pytest.raises(ConfigurationError, match="add a backoff, or a network"):
        wb.play(scenario(0.0))


def test_a_hundred_thousand_clients() -> None:
    """100,000 clients, each with policies of its own, are played as few are."""
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.constant(10_000),
        service=wb.Service(seconds=1.0, failure_rate=0.2),
        client=lambda: wb.Resilient(retry=AT_ONCE),
        clients=100_000,
        seconds=10.0001,
    )
    metrics = wb.play(scenario).metrics()
    assert metrics.calls == 100_000
    assert metrics.attempts_per_call == pytest.approx(1.24, rel=0.01)


@pytest.mark.parametrize(
    "wrong", [{"clients": 0}, {"seconds": 0.0}, {"seconds": math.inf}], ids=["clients", "none", "endless"]
)
def test_wrong_scenarios(wrong: dict[str, float]) -> None:
    """A scenario without clients, or without an end, is refused with its value."""
    with pytest.raises(ConfigurationError, match="got"):
        wb.Scenario(arrivals=wb.Arrivals.poisson(1), service=wb.Service(), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"failure_rate": 2.0}, {"outages": ((2.0, 1.0),)}])
def test_wrong_services(wrong: dict[str, object]) -> None:
    """A service without slots, with a rate that is none, or with an endless outage is refused."""
    with pytest.raises(ConfigurationError, match="got"):
        wb.Service(**wrong)  # type: ignore[arg-type]

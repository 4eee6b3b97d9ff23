"""Published results, and what our policies and our kernel come to beside them.

The published figures are data (``truth.toml``, with their sources and tolerances); here are the experiments.
``fast`` runs fewer and smaller ones, within the tolerances that follow from that.
"""

from __future__ import annotations

import math
import statistics
import time
import tomllib
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from workbench.calls import Resilient
from workbench.experiments.arrivals import Arrivals
from workbench.experiments.contention import contend
from workbench.experiments.results import Run
from workbench.experiments.scenario import Scenario, play
from workbench.experiments.service import Exponential, Lognormal, Service
from workbench.experiments.sweep import half_width
from workbench.resilience.backoff import Backoff
from workbench.resilience.budget import RetryBudget
from workbench.resilience.hedge import Hedge
from workbench.resilience.retry import RetryPolicy
from workbench.resilience.throttle import AdaptiveThrottle

__all__ = ["STRATEGIES", "Row", "check", "published"]

STRATEGIES = {  # attempts count from 1 in the published program: the first ceiling is 5 ms * 2 ** 1
    "none": Backoff(0),
    "exponential": Backoff(0.01, cap=2, jitter="none"),
    "equal": Backoff(0.01, cap=2, jitter="equal"),
    "full": Backoff(0.01, cap=2),
    "decorrelated": Backoff(0.005, cap=2, jitter="decorrelated"),
}


class Row(NamedTuple):
    """A published figure and ours, and how far the two may be apart."""

    name: str
    measured: float
    published: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether ours is within the tolerance; what is no number is not."""
        return abs(self.measured - self.published) <= self.tolerance


def published() -> dict[str, Any]:
    """The published figures, by section."""
    return tomllib.loads((files("workbench.experiments") / "truth.toml").read_text(encoding="utf-8"))


def check(*, fast: bool = False, sections: tuple[str, ...] = ()) -> bool:
    """Print each figure beside the published one, section by section, and return whether all agree.

    Args:
        fast: fewer trials, for a test.
        sections: which; all, where none is named.
    """
    rows: list[Row] = []
    for section, data in published().items():
        if sections and section not in sections:
            continue
        began = time.process_time()
        found = list(_EXPERIMENTS[section](data, fast))
        print(f"\n{data['title']}\n  {data['source']}")
        print(f"  {'':<46}{'measured':>12}{'published':>12}{'± at most':>12}")
        for row in found:
            verdict = "ok" if row.ok else "OFF"
            figures = f"{row.measured:>12.5g}{row.published:>12.5g}{row.tolerance:>12.3g}"
            print(f"  {row.name:<46}{figures}  {verdict}")
        print(f"  {time.process_time() - began:.1f} s of CPU time")
        rows += found
    off = [row for row in rows if not row.ok]
    print(f"\n{len(rows) - len(off)} of {len(rows)} figures agree with what is published")
    return not off


def contention(data: dict[str, Any], fast: bool) -> Iterator[Row]:
    """All sizes are played, as in the published program; those with a published figure are compared."""
    trials = data["trials"]
    for size in (1, 2, 10, 50, 100) if fast else (1, 2, *data["sizes"]):
        for name, backoff in STRATEGIES.items():
            frame = contend(size, backoff, trials=trials, seed=size)
            for figure, ours in (("milliseconds", frame["seconds"] * 1000), ("writes", frame["writes"])):
                if (theirs := data[figure].get(str(size))) is None:
                    continue
                spread = theirs_spread = ours.std() / math.sqrt(trials)  # where it is not published
                if size == data["standard_errors_at"]:
                    theirs_spread = data["standard_errors"][figure][name]
                error = math.hypot(spread, theirs_spread)
                tolerance = data["errors"] * error + (data["rounding"] if size > 2 else 0)
                yield Row(f"{size} writers, {name}, {figure}", ours.mean(), theirs[name], tolerance)


def retries(data: dict[str, Any], fast: bool) -> Iterator[Row]:
    """A service that fails at random, N retries at once; then a retry budget in each client."""
    clients, rate, seconds = data["clients"], data["calls_per_second"], data["seconds"]

    def at_random(failure: float, policy: Callable[[], RetryPolicy], seconds: float) -> Run:
        return play(
            Scenario(
                arrivals=Arrivals.poisson(clients * rate),
                service=Service(seconds=0.0, failure_rate=failure),
                network=Exponential(0.01),
                client=lambda: Resilient(retry=policy()),
                clients=clients,
                seconds=seconds,
            )
        )

    bounded = RetryPolicy(attempts=data["retries"] + 1, backoff=Backoff(0))
    for text, success in data["success"].items():
        failure, load = float(text), data["load"][text]
        metrics = at_random(failure, lambda: bounded, seconds * (2 if fast else 10)).metrics()
        closed = 1 - failure ** (data["retries"] + 1)
        name = f"fails with p = {text}"
        yield Row(f"{name}: success, closed form", closed, success, 0.0005)
        yield Row(f"{name}: load, closed form", closed / (1 - failure), load, 0.0005)
        yield Row(f"{name}: success", metrics.success, success, data["relative"] * success)
        yield Row(f"{name}: load", metrics.attempts_per_call, load, data["relative"] * load)
    bucket = data["bucket"]
    for failure in bucket["failure"]:
        metrics = at_random(failure, lambda: _bounded_by(bucket), seconds).metrics()
        tolerance = data["relative"] * bucket["load"]
        name = f"fails with p = {failure}: load with a retry budget"
        yield Row(name, metrics.attempts_per_call, bucket["load"], tolerance)


def _bounded_by(bucket: dict[str, Any]) -> RetryPolicy:
    budget = RetryBudget(bucket["capacity"], per_request=bucket["per_call"], floor=1.0)
    return RetryPolicy(attempts=None, backoff=Backoff(0), budget=budget)


def collapse(data: dict[str, Any], fast: bool) -> Iterator[Row]:
    """A spike of load on a service that slows down under load, with clients that time out and try again."""
    for wanted in data["runs"]:
        if fast and "seconds" in wanted:
            continue
        seeds = 12 if fast else max(20, wanted["of"])
        backoff = Backoff(wanted.get("backoff", 0), cap=1e9)
        ends = [_after_spike(wanted, backoff, seed) for seed in range(seeds)]
        recovered = [goodput for goodput in ends if goodput > wanted["rate"] / 2]
        errors = [_binomial_error(wanted["recover"], wanted["of"]), _binomial_error(len(recovered), seeds)]
        share, tolerance = wanted["recover"] / wanted["of"], data["errors"] * math.hypot(*errors)
        yield Row(wanted["name"], len(recovered) / seeds, share, tolerance)
        if "backoff" in wanted:
            goodput, half = statistics.fmean(ends), data["errors"] * statistics.stdev(ends) / math.sqrt(seeds)
            yield Row(f"{wanted['name']}: /s", goodput, data["goodput"], half)


def _after_spike(wanted: dict[str, Any], backoff: Backoff, seed: int) -> float:
    """Answers a second in the last 20 s."""
    retry = RetryPolicy(attempts=3, backoff=backoff, max_elapsed=None)
    scenario = Scenario(
        arrivals=Arrivals.spike(wanted["rate"], wanted["spike"], start=20, end=20 + wanted["for"]),
        service=Service(seconds=1.0, per_request=0.01),
        network=Exponential(0.1),
        client=lambda: Resilient(retry=retry, timeout=3.0),
        seconds=wanted.get("seconds", 80),
    )
    ended = play(scenario, seed).over_time(20.0)["ok"]
    return float(ended.iloc[-1])


def _binomial_error(count: int, of: int) -> float:
    """The standard error of a share, by Laplace's rule: it is not 0 where all or none were seen."""
    share = (count + 1) / (of + 2)
    return math.sqrt(share * (1 - share) / (of + 2))


def throttling(data: dict[str, Any], fast: bool) -> Iterator[Row]:
    """A backend that takes a request every 0.1 s and keeps few waiting, and ten times that on demand."""
    for text, sent in data["sent"].items():
        k = float(text)
        scenario = Scenario(
            arrivals=Arrivals.poisson(100),
            service=Service(seconds=0.1, slots=1, queue=10),
            client=lambda k=k: Resilient(throttle=AdaptiveThrottle(k)),  # type: ignore[misc]  # a default
            seconds=240 if fast else 2400,
        )
        rates = play(scenario).over_time(60.0)["sent"]
        yield Row(f"K = {text}: sent a second", rates.iloc[2:].mean(), sent, data["relative"] * sent)


def erlang_c(servers: int, load: float) -> float:
    """The probability that a customer of an M/M/c queue waits; `load` is that of one server."""
    blocked = 1.0  # Erlang's B, server by server
    for count in range(1, servers + 1):
        blocked = servers * load * blocked / (count + servers * load * blocked)
    return blocked / (1 - load * (1 - blocked))


def queueing(data: dict[str, Any], fast: bool) -> Iterator[Row]:
    """Poisson arrivals, exponential service, c servers, one queue; intervals by the means of 20 batches."""
    for queue in data["queues"]:
        servers, load = queue["servers"], queue["load"]
        if fast and load > 0.9:
            continue  # it would need more
        name, spare = f"M/M/{servers}, ρ = {load}", servers * (1 - load)
        waiting = erlang_c(servers, load)
        yield Row(f"{name}: waits, closed form", waiting, queue["waiting"], data["rounding"])
        yield Row(f"{name}: wait, closed form", waiting / spare, queue["wait"], 2 * data["rounding"])
        arrivals = Arrivals.poisson(servers * load)
        service = Service(seconds=Exponential(1.0), slots=servers)
        seconds = (40_000 if fast else 400_000) / (servers * load)
        played = play(Scenario(arrivals=arrivals, service=service, seconds=seconds))
        waits = played.attempts_frame().sort_values("call")["waited"].to_numpy()
        waits = waits[len(waits) // 20 :]  # it begins empty
        late = 1 / spare  # e^-1 of those who wait do so for longer
        for figure, values, theirs in (
            ("waits", waits > 0, queue["waiting"]),
            ("wait", waits, queue["wait"]),
            ("waits longer than 1/(c−λ)", waits > late, queue["waiting"] / math.e),
        ):
            means = [float(batch.mean()) for batch in np.array_split(values, 20)]
            half = half_width(means, data["confidence"]) + 2 * data["rounding"]
            yield Row(f"{name}: {figure}", statistics.fmean(means), theirs, half)
        yield Row(f"{name}: L / λW", _little(played.to_frame()), 1.0, 1e-9)


def _little(calls: pd.DataFrame) -> float:
    """The time average of the number in the system over λW: both sides counted, by sweep and by sum."""
    times = np.concatenate([calls["started"], calls["ended"]])
    order = np.argsort(times, kind="stable")
    number = np.cumsum(np.repeat([1, -1], len(calls))[order])
    integral = float((number[:-1] * np.diff(times[order])).sum())
    return integral / float((calls["ended"] - calls["started"]).sum())


def tail(data: dict[str, Any], fast: bool) -> Iterator[Row]:
    """How many slow servers spoil an answer; and what a second request after the p95 gains."""
    for each in data["fan_out"]:
        name = f"{each['servers']} servers, each slow for {each['slow']:.2%}"
        yield Row(name, 1 - (1 - each["slow"]) ** each["servers"], each["share"], 0.0005)
    normal = statistics.NormalDist()
    delay = math.exp(data["sigma"] * normal.inv_cdf(data["quantile"]))

    def survives(t: float) -> float:
        return 1.0 if t <= 0 else normal.cdf(-math.log(t) / data["sigma"])

    calls = 40_000 if fast else 400_000
    runs = {
        hedged: play(
            Scenario(
                arrivals=Arrivals.constant(100),
                service=Service(seconds=Lognormal(1.0, data["sigma"])),
                client=lambda hedged=hedged: Resilient(hedge=Hedge(delay) if hedged else None),  # type: ignore[misc]
                seconds=calls / 100,
            )
        )
        for hedged in (False, True)
    }
    for text, theirs in data["latency"].items():
        share = float(text)
        for hedged, figure in zip(runs, theirs, strict=True):
            name = f"p{100 * share:g}, {'hedged' if hedged else 'one request'}"
            closed = _solve(lambda t, h=hedged: survives(t) * (survives(t - delay) if h else 1), 1 - share)  # type: ignore[misc]
            yield Row(f"{name}, closed form", closed, figure, data["rounding"])
            took = runs[hedged].to_frame().sort_values("call")[["started", "ended"]].diff(axis=1)["ended"]
            parts = [float(np.quantile(part, share)) for part in np.array_split(took.to_numpy(), 20)]
            error = statistics.stdev(parts) / math.sqrt(len(parts))
            tolerance = data["errors"] * error + data["rounding"]
            yield Row(name, float(took.quantile(share)), figure, tolerance)
    load, error = runs[True].metrics().attempts_per_call, math.sqrt(0.05 * 0.95 / calls)
    yield Row("load, hedged", load, data["load"], data["errors"] * error)


def _solve(falling: Callable[[float], float], value: float) -> float:
    """Where a falling function has a value, by bisection."""
    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > value else (low, middle)
    return low


_EXPERIMENTS: dict[str, Callable[[dict[str, Any], bool], Iterator[Row]]] = {
    "contention": contention,
    "retries": retries,
    "collapse": collapse,
    "throttling": throttling,
    "queueing": queueing,
    "tail": tail,
}

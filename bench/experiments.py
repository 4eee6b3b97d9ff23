"""The experiment kernel beside simpy, the AWS grid, and what a hundred thousand clients cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import simpy

import workbench as wb
from workbench.experiments.contention import contend
from workbench.experiments.kernel import Kernel
from workbench.experiments.truth import STRATEGIES, published

EVENTS = 200_000
REPEATS = 5
ORIGINAL = 92.5  # seconds of CPU time of the published program's full grid, on this kind of machine


def ours(processes: int) -> float:
    kernel = Kernel()

    def sleeper(gap: float) -> Iterator[float]:
        now = 0.0
        for _ in range(EVENTS // processes):
            yield (now := now + gap)

    for number in range(processes):
        kernel.start(sleeper(1 + number / 97))
    return cpu(kernel.run)


def peers(processes: int) -> float:
    environment = simpy.Environment()

    def sleeper(gap: float) -> Iterator[simpy.Event]:
        for _ in range(EVENTS // processes):
            yield environment.timeout(gap)

    for number in range(processes):
        environment.process(sleeper(1 + number / 97))
    return cpu(environment.run)


def cpu(run: Callable[[], object]) -> float:
    """Seconds of this process's CPU time."""
    began = time.process_time()
    run()
    return time.process_time() - began


def grid() -> None:
    for size in published()["contention"]["sizes"]:
        for backoff in STRATEGIES.values():
            contend(size, backoff)


def clients() -> None:
    retry = wb.RetryPolicy(attempts=3)
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.poisson(10_000),
        service=wb.Service(seconds=1.0, failure_rate=0.2),
        client=lambda: wb.Resilient(retry=retry),
        clients=100_000,
        seconds=10,
    )
    wb.play(scenario).metrics()


def main() -> list[dict[str, Any]]:
    """Measure, print, and return the rows; each ratio is simpy's time to ours, in the same run."""
    rows: list[dict[str, Any]] = []
    print("processes      ours, events/s    simpy, events/s    ratio")
    for processes in (1, 10, 100, 1000, 10_000):
        pairs = [(ours(processes), peers(processes)) for _ in range(REPEATS)]
        mine, theirs = (EVENTS / statistics.median(each) for each in zip(*pairs, strict=True))
        rows.append({"processes": processes, "ours": mine, "simpy": theirs, "ratio": mine / theirs})
        print(f"{processes:>9}{mine:>20,.0f}{theirs:>19,.0f}{mine / theirs:>8.2f}x")
    took = cpu(grid)
    rows.append({"grid": took, "original": ORIGINAL})
    share = f"1/{ORIGINAL / took:.1f} of the published program's {ORIGINAL:g} s"
    print(f"the AWS grid, 19 sizes × 5 strategies × 100 trials: {took:.1f} s of CPU time, {share}")
    took = cpu(clients)
    rows.append({"clients": took})
    print(f"100,000 clients, a call each, retries and metrics: {took:.1f} s of CPU time")
    return rows


if __name__ == "__main__":
    main()

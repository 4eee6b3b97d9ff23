"""What policies cost a call that succeeds: a retry and a breaker around it, beside their peers."""

import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from statistics import median

import aiobreaker
import purgatory
import pybreaker
import stamina
import tenacity

import workbench as wb

CALLS, ROUNDS = 5_000, 7
Fn = Callable[[], Awaitable[int]]


async def answer() -> int:
    return 1


def ways() -> dict[str, dict[str, Fn]]:
    """By what they do: 3 attempts with exponential jitter, a breaker for 5 failures in a row, or both."""
    tenacious = tenacity.retry(
        stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_random_exponential(), reraise=True
    )
    persistent = stamina.retry(on=ConnectionError, attempts=3)
    aio = aiobreaker.CircuitBreaker(fail_max=5, timeout_duration=timedelta(seconds=30))
    pure = purgatory.AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=30)
    tornado = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)

    async def guarded_by_pybreaker() -> int:
        with tornado.calling():
            return await answer()

    breakers: dict[str, Fn] = {
        "aiobreaker": aio(answer),
        "purgatory": pure("bench")(answer),
        "pybreaker": guarded_by_pybreaker,
    }
    retry, breaker = wb.RetryPolicy(), wb.CircuitBreaker.after_failures(5)
    retries = {"tenacity": tenacious, "stamina": persistent}
    return {
        "nothing": {"bare": answer},
        "retry": {
            "ours": wb.Resilient(retry=retry)(answer),
            **{name: persists(answer) for name, persists in retries.items()},
        },
        "breaker": {"ours": wb.Resilient(breaker=breaker)(answer), **breakers},
        "both": {
            "ours": wb.Resilient(retry=retry, breaker=breaker)(answer),
            **{
                f"{name} + {guard}": persists(fn)
                for name, persists in retries.items()
                for guard, fn in breakers.items()
            },
        },
    }


async def spent(fn: Fn) -> float:
    """Microseconds of CPU a call."""
    gc.collect()
    started = time.process_time()
    for _ in range(CALLS):
        await fn()
    return (time.process_time() - started) / CALLS * 1e6


async def measured() -> dict[str, dict[str, float]]:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for what, each in ways().items():  # interleaved, so that a busy machine is busy for all
            for name, fn in each.items():
                times[what, name].append(await spent(fn))
    bare = median(times.pop(("nothing", "bare")))
    costs: dict[str, dict[str, float]] = defaultdict(dict)
    for (what, name), values in times.items():
        costs[what][name] = median(values) - bare
    return costs


def main() -> dict[str, dict[str, float]]:
    """Microseconds that each adds to a call, by what it does; each ratio is to ours of the same kind."""
    costs = asyncio.run(measured())
    for what, each in costs.items():
        print(f"{'around a call: ' + what:28}{'µs':>8}{'/ ours':>9}")
        for name, cost in each.items():
            print(f"  {name:26}{cost:8.2f}{cost / each['ours']:9.2f}")
    return costs


if __name__ == "__main__":
    main()

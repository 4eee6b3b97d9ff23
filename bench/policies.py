"""What policies cost a call that succeeds: a retry and a breaker around it, beside their peers."""

import asyncio
import gc
import time
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


def ways() -> dict[str, Fn]:
    """Each: at most 3 attempts, exponential jitter; a breaker that opens after 5 failures in a row."""
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
    policies = wb.Resilient(retry=wb.RetryPolicy(), breaker=wb.CircuitBreaker.after_failures(5))
    return {
        "bare": answer,
        "ours": policies(answer),
        "tenacity": tenacious(answer),
        "stamina": persistent(answer),
        **breakers,
        **{f"tenacity + {name}": tenacious(fn) for name, fn in breakers.items()},
        **{f"stamina + {name}": persistent(fn) for name, fn in breakers.items()},
    }


async def spent(fn: Fn) -> float:
    """Microseconds of CPU a call."""
    gc.collect()
    started = time.process_time()
    for _ in range(CALLS):
        await fn()
    return (time.process_time() - started) / CALLS * 1e6


async def measured() -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in ways()}
    for _ in range(ROUNDS):
        for name, fn in ways().items():  # interleaved, so that a busy machine is busy for all
            times[name].append(await spent(fn))
    return {name: median(values) for name, values in times.items()}


def main() -> dict[str, float]:
    costs = asyncio.run(measured())
    bare = costs.pop("bare")
    fastest = min(cost for name, cost in costs.items() if "+" in name) - bare
    print(f"{'around a call that succeeds':28}{'µs':>8}{'/ ours':>9}")
    for name, cost in costs.items():
        print(f"{name:28}{cost - bare:8.2f}{(cost - bare) / (costs['ours'] - bare):9.2f}")
    print(f"ours / the fastest retry and breaker of others: {(costs['ours'] - bare) / fastest:.2f}")
    return costs


if __name__ == "__main__":
    main()

"""What `fan_out` costs over a bare TaskGroup with a semaphore: 10,000 items, 100 at a time."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median

from workbench import fan_out, run

ITEMS, LIMIT, ROUNDS = 10_000, 100, 7
Fn = Callable[[int], Awaitable[int]]


async def at_once(item: int) -> int:
    return item


async def sleep_0(item: int) -> int:
    await asyncio.sleep(0)
    return item


async def sleep_1_ms(item: int) -> int:
    await asyncio.sleep(0.001)
    return item


async def bare(fn: Fn) -> list[int]:
    """All tasks at once; each waits for the semaphore."""
    semaphore = asyncio.Semaphore(LIMIT)

    async def one(item: int) -> int:
        async with semaphore:
            return await fn(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in range(ITEMS)]
    return [task.result() for task in tasks]


async def lazy(fn: Fn) -> list[int]:
    """A task is made when the semaphore has a place for it: the leanest way by hand."""
    semaphore = asyncio.Semaphore(LIMIT)

    async def one(item: int) -> int:
        try:
            return await fn(item)
        finally:
            semaphore.release()

    tasks = []
    async with asyncio.TaskGroup() as group:
        for item in range(ITEMS):
            await semaphore.acquire()
            tasks.append(group.create_task(one(item)))
    return [task.result() for task in tasks]


async def ours(fn: Fn) -> list[int]:
    return (await fan_out(fn, range(ITEMS), limit=LIMIT)).values()


def main() -> list[dict[str, object]]:
    ways = (bare, lazy, ours)
    rows: list[dict[str, object]] = []
    print(f"{'fn':12}{'clock':10}{'bare':>9}{'lazy':>9}{'fan_out':>9}  µs an item {'/bare':>7}{'/lazy':>7}")
    for fn in (at_once, sleep_0, sleep_1_ms):
        for virtual in (True, False):
            spent: dict[str, list[float]] = {way.__name__: [] for way in ways}
            for _ in range(ROUNDS):
                for way in ways:  # interleaved, so that a busy machine is busy for all
                    gc.collect()
                    started = time.process_time()
                    assert run(partial(way, fn), virtual=virtual) == list(range(ITEMS))
                    spent[way.__name__].append((time.process_time() - started) / ITEMS * 1e6)
            cost = {name: median(values) for name, values in spent.items()}
            row: dict[str, object] = {
                "fn": fn.__name__,
                "clock": "virtual" if virtual else "wall",
                **{f"{name}_us": round(value, 2) for name, value in cost.items()},
                "ratio_bare": round(cost["ours"] / cost["bare"], 2),
                "ratio_lazy": round(cost["ours"] / cost["lazy"], 2),
            }
            rows.append(row)
            figures = "".join(f"{cost[way.__name__]:9.2f}" for way in ways)
            print(f"{row['fn']:12}{row['clock']:10}{figures} {row['ratio_bare']:18}{row['ratio_lazy']:7}")
    return rows


if __name__ == "__main__":
    main()

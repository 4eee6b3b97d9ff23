"""What watching an event loop costs, beside asyncio's own debug mode, on a loop with nothing but work."""

import asyncio
import time
from statistics import median

from workbench import LoopLag, run

STEPS, ROUNDS = 20_000, 9


async def work() -> None:
    for _ in range(STEPS):
        sum(range(100))
        await asyncio.sleep(0)


async def seconds(how: str) -> float:
    asyncio.get_running_loop().set_debug(how == "asyncio debug")
    started = time.perf_counter()
    if how == "LoopLag":
        async with LoopLag():
            await work()
    else:
        await work()
    return time.perf_counter() - started


def main() -> list[dict[str, object]]:
    ways = ["nothing", "LoopLag", "asyncio debug"]
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            spent[way].append(run(lambda way=way: seconds(way), virtual=False))
    rows: list[dict[str, object]] = []
    for way in ways:
        extra = median(one / base - 1 for one, base in zip(spent[way], spent["nothing"], strict=True))
        step = median(spent[way]) / STEPS * 1e6
        rows.append({"what": way, "µs a step": round(step, 2), "overhead": round(extra, 4)})
        print(f"{way:16}{step:8.2f} µs a step{extra:+9.1%}")
    return rows


if __name__ == "__main__":
    main()

"""Timer wake-ups a second: our clock and its peers, each as its documentation has it used.

The same coroutines run on each clock, interleaved, so that a slow moment of the machine hits all alike.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiotools
import async_solipsism
import looptime

from workbench.clock import VirtualTimeLoop

Shape = Callable[[], Coroutine[Any, Any, None]]
REPEATS = 5
WAKE_UPS = 20_000
FEW = 2_000  # looptime takes many idle rounds for each jump


def equal(tasks: int, wake_ups: int) -> Shape:
    """`tasks` that all sleep for one second, again and again."""
    return sleepers([1.0] * tasks, wake_ups)


def mixed(tasks: int, wake_ups: int) -> Shape:
    """`tasks` of which no two sleep equally long."""
    return sleepers([1 + number / 97 for number in range(tasks)], wake_ups)


def sleepers(delays: list[float], wake_ups: int) -> Shape:
    async def sleeper(delay: float) -> None:
        for _ in range(wake_ups // len(delays)):
            await asyncio.sleep(delay)

    async def main() -> None:
        await asyncio.gather(*map(sleeper, delays))

    return main


SHAPES: dict[str, Callable[[int], Shape]] = {
    "1": lambda wake_ups: equal(1, wake_ups),
    "10 mixed": lambda wake_ups: mixed(10, wake_ups),
    "100 equal": lambda wake_ups: equal(100, wake_ups),
    "100 mixed": lambda wake_ups: mixed(100, wake_ups),
    "1000 mixed": lambda wake_ups: mixed(1000, wake_ups),
}


def run_ours(main: Shape) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(main())


def run_aiotools(main: Shape) -> None:
    async def patched() -> None:
        with aiotools.VirtualClock().patch_loop():
            await main()

    with asyncio.Runner() as runner:
        runner.run(patched())


def run_solipsism(main: Shape) -> None:
    with asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        runner.run(main())


def run_looptime(main: Shape) -> None:
    with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(start=0)) as runner:
        runner.run(main())


CLOCKS: dict[str, Callable[[Shape], None]] = {
    "ours": run_ours,
    "aiotools": run_aiotools,
    "async-solipsism": run_solipsism,
    "looptime": run_looptime,
}


def rate(clock: str, shape: str) -> float:
    """Wake-ups per second of this process's CPU time."""
    wake_ups = FEW if clock == "looptime" else WAKE_UPS
    main = SHAPES[shape](wake_ups)
    began = time.process_time()
    CLOCKS[clock](main)
    return wake_ups / (time.process_time() - began)


def main() -> list[dict[str, Any]]:
    """Measure all, print a table, and return its rows; `ratio` is ours to the fastest peer."""
    rows: list[dict[str, Any]] = []
    print("tasks      " + "".join(f"{clock:>17}" for clock in CLOCKS) + "   ratio")
    for shape in SHAPES:
        rates: dict[str, list[float]] = {clock: [] for clock in CLOCKS}
        for _ in range(REPEATS):
            for clock, measured in rates.items():
                measured.append(rate(clock, shape))
        medians = {clock: statistics.median(measured) for clock, measured in rates.items()}
        ratio = medians["ours"] / max(medians[clock] for clock in CLOCKS if clock != "ours")
        rows.append({"shape": shape, **medians, "ratio": ratio})
        figures = "".join(f"{median:>15,.0f}/s" for median in medians.values())
        print(f"{shape:<11}{figures}{ratio:>7.2f}x")
    return rows


if __name__ == "__main__":
    main()

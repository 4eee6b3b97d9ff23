"""What a stream's fragments cost to put together, up to 100,000 of them, and what measuring a stream adds."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from statistics import median

from pydantic_core import from_json

from workbench import Metered
from workbench.events import Accumulator, Event, Finished, Started, TextDelta, ToolCallDelta
from workbench.partial_json import PartialJson

SIZES, ROUNDS, TOKEN = (1_000, 10_000, 100_000), 5, 5
HEAD, END = Started(id="1", model="m"), Finished(stop_reason="stop")


def accumulate_text(count: int) -> None:
    add_all([HEAD, *[TextDelta(text=" word")] * count, END])


def accumulate_calls(count: int) -> None:
    """Eight calls, interleaved."""
    starts = [ToolCallDelta(index=i, id=str(i), name="f") for i in range(8)]
    fragments = [ToolCallDelta(index=i, arguments='{"a"') for i in range(8)]
    add_all([HEAD, *starts, *fragments * (count // 8), END])


def add_all(events: list[Event]) -> None:
    accumulator = Accumulator()
    for event in events:
        accumulator.add(event)
    accumulator.completion()


def partial_json(count: int) -> None:
    growing = PartialJson()
    for fragment in fragments_of(count):
        growing.feed(fragment)


def parse_each_time(count: int) -> None:
    """The quadratic way."""
    text = ""
    for fragment in fragments_of(count):
        text += fragment
        from_json(text, allow_partial="trailing-strings")


def fragments_of(count: int) -> list[str]:
    """A list of small objects, cut into pieces of a token's length."""
    items = ",".join(f'{{"name": "word", "n": {index}}}' for index in range(count // 5))
    text = f'{{"items": [{items}]}}'
    return [text[i : i + TOKEN] for i in range(0, len(text), TOKEN)][:count]


async def events(count: int) -> AsyncIterator[Event]:
    delta = TextDelta(text=" word")
    for _ in range(count):
        yield delta


def consume(count: int) -> None:
    async def main() -> None:
        async for _ in events(count):
            pass

    asyncio.run(main())


def consume_metered(count: int) -> None:
    async def main() -> None:
        async with Metered(events(count)) as stream:
            async for _ in stream:
                pass

    asyncio.run(main())


def microseconds(way: Callable[[int], None], count: int) -> float:
    """CPU time for each fragment."""
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        way(count)
        spent.append((time.process_time() - start) / count * 1e6)
    return median(spent)


def main() -> list[dict[str, object]]:
    print(f"{'µs a fragment, of':24}" + "".join(f"{size:>12,}" for size in SIZES))
    rows: list[dict[str, object]] = []
    ways = (accumulate_text, accumulate_calls, partial_json, parse_each_time, consume, consume_metered)
    for way in ways:
        sizes = [size for size in SIZES if way is not parse_each_time or size <= 10_000]
        costs = {size: round(microseconds(way, size), 2) for size in sizes}
        rows.append({"what": way.__name__, **{f"{size}": cost for size, cost in costs.items()}})
        print(f"{way.__name__:24}" + "".join(f"{cost:12.2f}" for cost in costs.values()))
    return rows


if __name__ == "__main__":
    main()

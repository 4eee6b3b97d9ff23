"""What a span costs, recorded and not, beside the OpenTelemetry SDK's where that is installed."""

import time
from collections.abc import Callable
from statistics import median

from workbench import now, recording, run, span

SPANS, ROUNDS = 5_000, 25


def recorded() -> None:
    with recording():
        for _ in range(SPANS):
            with span("x"):
                pass


def with_attributes() -> None:
    with recording():
        for index in range(SPANS):
            with span("x", index=index, model="m"):
                pass


def not_recorded() -> None:
    for _ in range(SPANS):
        with span("x"):
            pass


def two_clock_readings() -> None:
    for _ in range(SPANS):
        now()
        now()


def opentelemetry() -> Callable[[], None] | None:
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    except ImportError:
        return None
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("bench")

    def opentelemetry_sdk() -> None:
        exporter.clear()
        for _ in range(SPANS):
            with tracer.start_as_current_span("x"):
                pass

    return opentelemetry_sdk


def measured(ways: list[Callable[[], None]]) -> dict[str, float]:
    spent: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            started = time.perf_counter()
            way()
            spent[way.__name__].append((time.perf_counter() - started) / SPANS * 1e6)
    return {name: median(values) for name, values in spent.items()}


def main() -> list[dict[str, object]]:
    ways = [recorded, with_attributes, not_recorded, two_clock_readings]
    peer = opentelemetry()

    def all_ways() -> dict[str, float]:
        costs = measured(ways)
        return costs | measured([peer]) if peer else costs  # apart: its heap slows down whoever is beside it

    async def in_a_loop() -> dict[str, float]:
        return all_ways()

    places = {
        "virtual loop": run(in_a_loop),
        "asyncio's loop": run(in_a_loop, virtual=False),
        "no loop": all_ways(),
    }
    print(f"{'µs a span':20}" + "".join(f"{place:>16}" for place in places))
    rows: list[dict[str, object]] = []
    for way in [*ways, peer] if peer else ways:
        costs = {place: round(cost[way.__name__], 2) for place, cost in places.items()}
        rows.append({"what": way.__name__, **costs})
        print(f"{way.__name__:20}" + "".join(f"{cost:16.2f}" for cost in costs.values()))
    return rows


if __name__ == "__main__":
    main()

"""The public API as a user's code meets it, for mypy and pyright alone: nothing here is run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import assert_never, assert_type

import anthropic
import httpx2
import openai
import pandas as pd
from pydantic import BaseModel

import workbench as wb
from workbench.cassettes import export_vcr, import_vcr
from workbench.cassettes.exchange import Exchange, RecordedResponse
from workbench.events import (
    CitationDelta,
    Event,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from workbench.fanout import Outcome
from workbench.providers import Parsed, Provider
from workbench.simulator import RequestLog, RequestRecord
from workbench.tracing import SpanRecord, Trace


async def answer(question: str) -> wb.Completion:
    provider = wb.default_provider()
    assert_type(provider, Provider)
    request = wb.Request(model="m", messages=(wb.Message(role="user", content=question),))
    completion = await provider.complete(request)
    assert_type(completion, wb.Completion)
    assert_type(completion.usage, wb.Usage)
    assert_type(completion.usage.total_tokens, int)
    assert_type(completion.tool_calls, tuple[wb.ToolCall, ...])
    return completion


class Ticket(BaseModel):
    topic: str


async def parsed(provider: Provider, router: wb.Router, request: wb.Request) -> None:
    answer = await provider.parse(request, Ticket)
    assert_type(answer, Parsed[Ticket])
    assert_type(answer.value, Ticket)
    assert_type(answer.value.topic, str)
    assert_type(answer.usage, wb.Usage)
    assert_type((await router.parse(request, Ticket, repairs=1)).value, Ticket)

    await provider.parse(request, dict)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


async def measured(provider: Provider, request: wb.Request) -> None:
    async with wb.Metered(provider.stream(request)) as stream:
        async for event in stream:
            assert_type(
                event,
                Started | TextDelta | RefusalDelta | ThinkingDelta | CitationDelta | ToolCallDelta | Finished,
            )
    assert_type(stream.metrics, wb.StreamMetrics)
    assert_type(stream.metrics.ttft, float)
    assert_type(stream.metrics.itl, tuple[float, ...])
    assert_type(stream.metrics.error(wb.Simulator().log[-1]), dict[str, float])
    assert_type(wb.arrivals({"a": stream.metrics}), wb.Chart)
    async with wb.serve_relay(provider, model="m", port=0) as url:
        assert_type(url, str)


async def questions() -> AsyncIterator[str]:
    yield "why?"


async def fan_outs() -> None:
    results = await wb.fan_out(answer, ["a", "b"], limit=2)
    assert_type(results, wb.FanOut[wb.Completion])
    assert_type(results[0], wb.Completion | Exception)
    assert_type(results[1:], wb.FanOut[wb.Completion])
    assert_type(results.values(), list[wb.Completion])
    assert_type(results.errors(), dict[int, Exception])
    assert_type(results.outcomes, tuple[Outcome[wb.Completion], ...])
    assert_type(results.outcomes[0].value, wb.Completion | None)
    assert_type(results.outcomes[0].error, Exception | None)
    assert_type(results.to_frame(), pd.DataFrame)
    for result in results:
        assert_type(result, wb.Completion | Exception)
        if isinstance(result, Exception):
            continue
        assert_type(result, wb.Completion)

    rate = wb.RateLimiter(rpm=500, tpm=30_000, burst=0.5, refund=True)
    assert_type(await rate.acquire(100), float)
    sizes = await wb.fan_out(
        lambda size: asyncio.sleep(1, size),
        range(10),
        limit=3,
        rate=rate,
        cost=lambda size: 10 * size,
        timeout=2.5,
        on_error="return",
        progress=True,
    )
    assert_type(sizes, wb.FanOut[int])
    assert_type(await wb.fan_out(answer, questions(), limit=2), wb.FanOut[wb.Completion])

    await wb.fan_out(answer, [1, 2], limit=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wb.fan_out(len, ["a"], limit=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wb.fan_out(answer, ["a"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wb.fan_out(answer, ["a"], limit=2, on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def runs() -> None:
    async def main() -> list[int]:
        assert_type(wb.now(), float)
        return [1]

    assert_type(wb.run(main), list[int])
    assert_type(wb.run(main()), list[int])
    assert_type(wb.run(main, virtual=False, seed=3), list[int])
    assert_type(wb.run(lambda: wb.fan_out(answer, ["a"], limit=1)).values(), list[wb.Completion])
    asyncio.Runner(loop_factory=wb.VirtualTimeLoop)


def simulators() -> None:
    simulator = wb.Simulator(
        seed=1,
        models=[wb.ModelProfile(name="mine", provider="openai", ttft=wb.Latency(mean=0.3, cv=0.2))],
        limits=wb.RateLimits(requests=60, tokens=10_000),
        faults=wb.Faults(error_rate=0.1, outages=(wb.Outage(start=1, end=2),)),
    )
    assert_type(simulator.openai(), openai.AsyncOpenAI)
    assert_type(simulator.openai_sync(), openai.OpenAI)
    assert_type(simulator.anthropic(max_retries=0), anthropic.AsyncAnthropic)
    assert_type(simulator.anthropic_sync(), anthropic.Anthropic)
    assert_type(wb.OpenAIProvider(simulator.openai()).name, str)
    assert_type(wb.OpenAIResponsesProvider(simulator.openai()).name, str)
    assert_type(wb.AnthropicProvider(simulator.anthropic()).name, str)
    providers: list[Provider] = [
        wb.OpenAIProvider(simulator.openai()),
        wb.OpenAIResponsesProvider(simulator.openai()),
        wb.AnthropicProvider(simulator.anthropic()),
        wb.default_provider(simulator),
    ]
    assert providers
    assert_type(simulator.log, RequestLog)
    assert_type(simulator.log[0], RequestRecord)
    assert_type(simulator.log[:3], RequestLog)
    assert_type(simulator.log.to_frame(), pd.DataFrame)
    assert_type([record.arrival for record in simulator.log], list[float])
    assert_type(simulator.log.statuses(), dict[int | None, int])


def cassettes(simulator: wb.Simulator) -> None:
    with wb.Cassette("tape.yaml", mode="auto", pace="recorded", after_last="repeat", secrets=["x-a"]) as tape:
        assert_type(tape, wb.Cassette)
        openai.OpenAI(http_client=tape.client())
        anthropic.Anthropic(http_client=tape.client(simulator.transport("anthropic"), timeout=5))
        openai.AsyncOpenAI(http_client=tape.async_client(simulator.async_transport("openai")))
        anthropic.AsyncAnthropic(http_client=tape.async_client())
        httpx2.Client(transport=tape.transport(httpx2.HTTPTransport()))
        httpx2.AsyncClient(transport=tape.async_transport())
        assert_type(tape.exchanges, list[Exchange])
        assert_type(tape.unplayed[0].response, RecordedResponse | None)
        tape.save()
    import_vcr("theirs.yaml", Path("ours.yaml"), secrets=["x-a"])
    assert_type(export_vcr(Path("ours.yaml"), "theirs.yaml"), list[Exchange])

    wb.Cassette("tape.yaml", mode="once")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tape.client(httpx2.AsyncHTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def by_isinstance(provider: Provider, request: wb.Request) -> str:
    text = ""
    async for event in provider.stream(request):
        assert_type(event, Event)
        if isinstance(event, TextDelta):
            text += assert_type(event.text, str)
        elif isinstance(event, Finished):
            assert_type(event.usage, wb.Usage)
    return text


def by_match(event: Event) -> str | int:
    match event:
        case Started(model=model):
            return assert_type(model, str)
        case TextDelta(text=text) | RefusalDelta(text=text) | ThinkingDelta(text=text):
            return assert_type(text, str)
        case CitationDelta(citation=citation):
            return assert_type(citation.cited_text, str)
        case ToolCallDelta(index=index):
            return assert_type(index, int)
        case Finished():
            return assert_type(event.usage.output_tokens, int)
        case _:
            assert_never(event)


def by_type(event: Event) -> str:
    if event.type == "text":
        assert_type(event, TextDelta)
        return event.text
    if event.type == "tool_call":
        assert_type(event, ToolCallDelta)
        return event.arguments
    return event.type


def traces_and_charts(log: RequestLog, results: wb.FanOut[int]) -> None:
    with wb.recording() as trace, wb.span("stage", source="docs") as record:
        record.attributes["documents"] = 3
    assert_type(trace, Trace)
    assert_type(trace[0], SpanRecord)
    assert_type(trace[1:], list[SpanRecord])
    assert_type(trace[0].duration, float)
    assert_type(trace[0].parent, int | None)
    assert_type(trace.to_frame(), pd.DataFrame)
    charts = [
        wb.timeline(log, title="x"),
        wb.timeline(results),
        wb.timeline({"log": log, "results": results}),
        wb.in_flight({"log": log}, bound=3),
        wb.waterfall(trace),
        wb.waterfall(trace[1:]),
    ]
    assert_type(charts, list[wb.Chart])
    assert_type(charts[0].png(), bytes)


async def profiles(trace: Trace, ledger: wb.Ledger) -> None:
    async with wb.LoopLag(interval=0.01, threshold=0.1) as lag:
        with wb.memory() as held, wb.profile() as found:
            await asyncio.sleep(1)
    assert_type(lag, wb.LoopLag)
    assert_type(lag.worst, float)
    assert_type(lag.blocks[0].function, str)
    assert_type(found.seconds(), dict[str, float])
    assert_type(held.functions(), dict[str, int])
    assert_type(wb.compare_profilers("program.py"), pd.DataFrame)
    assert_type(wb.loop_lag(lag), wb.Chart)
    assert_type(wb.stages(trace), wb.Chart)
    assert_type(wb.spending(ledger, by="model"), wb.Chart)


def ledgers(answer: wb.Completion) -> None:
    with wb.Ledger(Path("spend.sqlite")) as ledger:
        assert_type(ledger, wb.Ledger)
        assert_type(ledger.add(answer, caller="a", service="b", key="c"), float | None)
        assert_type(ledger.cost, float)
        assert_type(ledger.by("caller", "day"), pd.DataFrame)
        assert_type(ledger.to_frame(), pd.DataFrame)


async def boards(provider: Provider, requests: list[wb.Request]) -> None:
    async with wb.StreamBoard(["a", "b"]) as board:
        assert_type(board, wb.StreamBoard)
        results = await wb.fan_out(lambda request: board.follow(provider.stream(request)), requests, limit=2)
        assert_type(results, wb.FanOut[wb.Completion])
        assert_type(await board.follow(provider.stream(requests[0]), "a", max_tokens=9), wb.Completion)
        board.retrying("a")
        board.cancel("b")
        board.cancel()
        await board.follow(requests)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type([pane.ttft for pane in board.panes], list[float | None])
    assert_type(board.to_frame(), pd.DataFrame)


async def policies(provider: Provider, request: wb.Request) -> None:
    retry = wb.RetryPolicy(
        attempts=None, backoff=wb.Backoff(0.5, jitter="equal"), budget=wb.RetryBudget.grpc()
    )
    breaker = wb.CircuitBreaker.after_failures(5, open_time=30)
    resilient = wb.Resilient(
        retry=retry, breaker=breaker, limit=wb.RateLimiter(rpm=60), hedge=wb.Hedge(), timeout=20
    )
    assert_type(await resilient.call(answer, "why?"), wb.Completion)
    assert_type(await resilient(answer)("why?"), wb.Completion)
    wrapped: Provider = resilient.provider(provider)
    router: Provider = wb.Router({"gpt-5.5": wrapped, "claude-sonnet-5": provider})
    with wb.deadline(10):
        assert_type(await router.complete(request), wb.Completion)

    await resilient.call(answer, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wb.Backoff(jitter="ful")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def experiments() -> None:
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.spike(40, to=80, start=20, end=25),
        service=wb.Service(per_request=0.01, slots=10, outages=((3.0, 5.0),)),
        client=lambda: wb.Resilient(retry=wb.RetryPolicy(budget=wb.RetryBudget()), timeout=3),
        clients=10,
    )
    run = wb.play(scenario, 1)
    assert_type(run.metrics(slo=2.0).goodput, float)
    assert_type(run.to_frame(), pd.DataFrame)
    assert_type(wb.sweep(wb.play, {"scenario": [scenario]}, 3), pd.DataFrame)
    assert_type(wb.curves(run.over_time()[["sent", "ok"]], shaded=(3.0, 5.0)), wb.Chart)
    wb.Scenario(arrivals=40, service=wb.Service())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def extension(load: Callable[..., object] = wb.load_ipython_extension) -> None:
    assert_type(wb.DeadlockError("x"), wb.DeadlockError)

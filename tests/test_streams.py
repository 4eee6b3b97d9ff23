"""Stream metrics: what the consumer measures, held against the provider's own log."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.errors import StreamInterruptedError
from workbench.events import CitationDelta, Event, Finished, Started, TextDelta, ThinkingDelta, ToolCallDelta
from workbench.messages import Citation
from workbench.providers import Provider
from workbench.streams import Metered, StreamMetrics

Name = Literal["chat", "responses", "anthropic"]
NAMES: tuple[Name, ...] = ("chat", "responses", "anthropic")
EXACT = {"ttft": 0.0, "itl": 0.0, "tpot": 0.0, "latency": 0.0, "tokens": 0}
TOOL = wb.Tool(name="find", parameters={"type": "object", "properties": {"what": {"type": "string"}}})


def provider_of(sim: wb.Simulator, name: Name) -> tuple[Provider, str]:
    if name == "chat":
        return wb.OpenAIProvider(sim.openai()), "gpt-5.5"
    if name == "responses":
        return wb.OpenAIResponsesProvider(sim.openai()), "gpt-5.5"
    return wb.AnthropicProvider(sim.anthropic()), "claude-sonnet-5"


def ask(model: str, tools: tuple[wb.Tool, ...] = (), thinking_tokens: int | None = None) -> wb.Request:
    question = wb.Message(role="user", content="find out what jitter is")
    return wb.Request(
        model=model,
        messages=(question,),
        tools=tools,
        max_tokens=200 + (thinking_tokens or 0),
        thinking_tokens=thinking_tokens,
    )


async def measured(
    sim: wb.Simulator,
    name: Name,
    *,
    think_seconds: float = 0.0,
    tools: tuple[wb.Tool, ...] = (),
) -> StreamMetrics:
    """Read one stream, `think_seconds` at each of its events."""
    provider, model = provider_of(sim, name)
    async with Metered(provider.stream(ask(model, tools))) as stream:
        async for event in stream:
            if think_seconds and not isinstance(event, Started):
                await asyncio.sleep(think_seconds)
    return stream.metrics


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from(NAMES), st.booleans())
def test_in_virtual_time_the_measurement_is_exact(seed: int, name: Name, calls: bool) -> None:
    """Through the real SDKs each token is seen in the nanosecond in which the provider's log has it."""

    async def main() -> tuple[StreamMetrics, wb.Simulator]:
        sim = wb.Simulator(seed=seed)
        return await measured(sim, name, tools=(TOOL,) if calls else ()), sim

    metrics, sim = wb.run(main)
    (record,) = sim.log
    assert metrics.error(record) == EXACT
    assert metrics.output_tokens == record.output_tokens == len(metrics.tokens)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("think_seconds", [0.001, 0.013, 0.5])
def test_a_slow_consumer_explains_the_whole_error(name: Name, think_seconds: float) -> None:
    """A token is seen when it is made, or when its consumer is ready for it again, whichever is later."""

    async def main() -> tuple[StreamMetrics, wb.Simulator]:
        sim = wb.Simulator(seed=3)
        return await measured(sim, name, think_seconds=think_seconds), sim

    metrics, sim = wb.run(main)
    (record,) = sim.log
    ready, expected = 0.0, []
    for made in record.tokens:
        expected.append(max(made, ready))
        ready = expected[-1] + think_seconds
    assert metrics.tokens == pytest.approx(expected, abs=1e-9)
    assert metrics.error(record)["ttft"] == 0.0
    assert metrics.latency == pytest.approx(ready + think_seconds - record.arrival, abs=1e-9)  # the end, too


def test_thoughts_that_are_not_shown_explain_the_rest() -> None:
    """Chat completions hide what a model thinks: the first token that is seen is the first after that."""

    async def main() -> tuple[StreamMetrics, int, wb.Simulator]:
        sim = wb.Simulator(seed=2)
        provider, model = provider_of(sim, "chat")
        async with Metered(provider.stream(ask(model, thinking_tokens=1024))) as stream:
            *_, last = [event async for event in stream]
        assert isinstance(last, Finished)
        return stream.metrics, last.usage.thinking_tokens, sim

    metrics, thought, sim = wb.run(main)
    (record,) = sim.log
    assert thought > 0
    assert metrics.tokens == record.tokens[thought:]
    assert metrics.output_tokens == record.output_tokens == thought + len(metrics.tokens)


def test_two_streams_that_share_a_slot() -> None:
    """What a stream waits for in the provider's queue is part of its time to first token."""

    async def main() -> tuple[list[StreamMetrics], wb.Simulator]:
        sim = wb.Simulator(seed=1, slots=1)
        return list(await asyncio.gather(measured(sim, "chat"), measured(sim, "chat"))), sim

    metrics, sim = wb.run(main)
    assert [each.error(record) for each, record in zip(metrics, sim.log, strict=True)] == [EXACT, EXACT]
    assert metrics[1].ttft > metrics[0].latency == sim.log[1].queued


@pytest.mark.parametrize("name", NAMES)
def test_a_consumer_that_leaves_ends_the_stream(name: Name) -> None:
    """The provider learns in that instant that its client is gone, and no task is left."""

    async def main() -> tuple[StreamMetrics, wb.Simulator]:
        sim = wb.Simulator(seed=1)
        provider, model = provider_of(sim, name)
        source = provider.stream(ask(model))  # still referred to, so that no garbage collector closes it
        async with Metered(source) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    break
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return stream.metrics, sim

    metrics, sim = wb.run(main)
    (record,) = sim.log
    assert record.outcome == "cancelled"
    assert record.ended == metrics.ended == metrics.tokens[-1] == record.first_token
    assert metrics.output_tokens == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_breaks_off_is_measured_up_to_there(name: Name) -> None:
    """The error comes through, with the text so far, and the metrics are those of what had come."""

    async def main() -> tuple[StreamMetrics, str, str, wb.Simulator]:
        sim = wb.Simulator(seed=1, faults=wb.Faults(disconnect_rate=1))
        provider, model = provider_of(sim, name)
        said = ""
        stream = Metered(provider.stream(ask(model)))
        try:
            async for event in stream:
                said += event.text if isinstance(event, TextDelta) else ""
        except StreamInterruptedError as error:
            return stream.metrics, said, error.partial, sim
        raise AssertionError("the stream did not break off")

    metrics, said, partial, sim = wb.run(main)
    (record,) = sim.log
    assert said == partial != ""
    assert (record.outcome, metrics.ended) == ("broken", record.ended)
    assert metrics.tokens == record.tokens[:-1]  # the last was cut off with the connection
    assert metrics.output_tokens == len(metrics.tokens)


async def events(*said: Event | float) -> AsyncIterator[Event]:
    """A stream of these events, with pauses between them."""
    for each in said:
        if isinstance(each, float):
            await asyncio.sleep(each)
        else:
            yield each


def test_what_counts_as_a_token() -> None:
    """Text, thoughts, a call's name and its arguments do; heads, signatures, citations and the end do not."""
    citation = Citation(start=0, end=1, document=0, cited_text="x", source_start=0)
    stream = (
        Started(id="1", model="m"),
        *(1.0, ThinkingDelta(text="hm"), 1.0, ThinkingDelta(text="", signature="s")),
        *(1.0, TextDelta(text="a"), 1.0, TextDelta(text=""), CitationDelta(citation=citation)),
        *(1.0, ToolCallDelta(index=0, id="1", name="f"), 1.0, ToolCallDelta(index=0)),
        *(1.0, ToolCallDelta(index=0, arguments="{}"), 1.0, Finished(stop_reason="tool_calls")),
    )

    async def main() -> StreamMetrics:
        async with Metered(events(*stream)) as metered:
            assert [event async for event in metered] == [
                each for each in stream if not isinstance(each, float)
            ]
        return metered.metrics

    assert wb.run(main) == StreamMetrics(0.0, (1.0, 3.0, 5.0, 7.0), 8.0, 4)


def test_the_terms_mean_what_the_field_means() -> None:
    """Asked at 1 s, four tokens at 2, 2.5, 4 and 4 s, the end at 5 s: each figure, by hand."""
    metrics = StreamMetrics(1.0, (2.0, 2.5, 4.0, 4.0), 5.0, 4)
    assert (metrics.ttft, metrics.itl, metrics.latency) == (1.0, (0.5, 1.5, 0.0), 4.0)
    assert (metrics.tpot, metrics.tokens_per_second) == (1.0, 1.0)
    later = StreamMetrics(0.0, (1.5, 2.25, 2.5), 4.0, 4)
    errors = {"ttft": 0.5, "itl": -1.25, "tpot": -0.166666667, "latency": 0.0, "tokens": -1}
    assert later.error(metrics) == errors


def test_a_stream_without_tokens_has_no_figures() -> None:
    """Where nothing came there is no time to first token, nor one between tokens."""
    metrics = StreamMetrics(1.0, (), 1.0, 0)
    assert all(map(math.isnan, (metrics.ttft, metrics.tpot, metrics.tokens_per_second)))
    assert metrics.itl == ()
    assert math.isnan(StreamMetrics(0.0, (1.0,), 1.0, 1).tpot)


def test_nothing_is_asked_for_before_the_consumer_asks() -> None:
    """The source makes an event when it is asked for one, and it is passed on before the next."""

    async def main() -> None:
        made = 0

        async def source() -> AsyncIterator[Event]:
            nonlocal made
            for index in range(3):
                made += 1
                yield TextDelta(text=str(index))

        async with Metered(source()) as stream:
            for index in range(3):
                assert made == index
                assert await anext(stream) == TextDelta(text=str(index))
                assert made == index + 1
        assert made == 3

    wb.run(main)


def test_metrics_while_it_runs() -> None:
    """At any time there are metrics, as if the stream ended now; before it begins there is nothing."""

    async def main() -> None:
        await asyncio.sleep(1)
        stream = Metered(events(0.5, TextDelta(text="a"), 9.0, TextDelta(text="b")))
        assert stream.metrics == StreamMetrics(1.0, (), 1.0, 0)
        await anext(stream)
        await asyncio.sleep(2)
        assert stream.metrics == StreamMetrics(1.0, (1.5,), 3.5, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 3)
        assert stream.metrics == StreamMetrics(1.0, (1.5,), 6.5, 1)
        await asyncio.sleep(1)
        await stream.aclose()
        assert stream.metrics.ended == 6.5

    wb.run(main)


def test_a_request_that_was_sent_before() -> None:
    """Where the request went out before the stream was there, the clock starts with it."""

    class Plain:  # an iterator need not have an `aclose`
        def __init__(self) -> None:
            self.inner = events(1.0, TextDelta(text="a"))

        def __aiter__(self) -> "Plain":
            return self

        async def __anext__(self) -> Event:
            return await anext(self.inner)

    async def main() -> StreamMetrics:
        asked = wb.now()
        await asyncio.sleep(0.25)
        async with Metered(Plain(), asked=asked) as stream:
            _ = [event async for event in stream]
        return stream.metrics

    assert wb.run(main).ttft == 1.25

"""What others make of our traces: Perfetto's format, and the real OpenTelemetry exporters."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from workbench.calls import Resilient
from workbench.clock import run
from workbench.errors import AuthenticationError, ConfigurationError
from workbench.fanout import fan_out
from workbench.limiter import RateLimiter
from workbench.messages import Request
from workbench.providers import AnthropicProvider, OpenAIProvider
from workbench.rag import Embedder
from workbench.resilience import RetryPolicy
from workbench.simulator import Faults, Outage, Simulator
from workbench.streams import StreamMetrics
from workbench.tracing import Trace, recording, span


def request(model: str = "gpt-5.5") -> Request:
    return Request.model_validate({"model": model, "messages": "Why jitter?", "max_tokens": 40})


def streamed(sim: Simulator, *, leave: bool = False) -> Trace:
    async def main() -> None:
        with span("answer", sources=["a", "b"], odd={"x": 1}):
            async for event in OpenAIProvider(sim.openai()).stream(request()):
                if leave and event.type == "text":
                    break
            await asyncio.sleep(1)

    with recording() as trace:
        run(main)
    return trace


def test_a_stream_has_two_phases() -> None:
    """`ttft` and `decode` lie in the call's span, are as long as the provider's log says, and fill it."""
    sim = Simulator(seed=1)
    trace = streamed(sim)
    spans = {record.name: record for record in trace}
    truth = StreamMetrics.of(sim.log[0])
    assert spans["ttft"].duration == pytest.approx(truth.ttft)
    assert spans["decode"].duration == pytest.approx(truth.latency - truth.ttft)
    assert spans["ttft"].parent == spans["decode"].parent == spans["chat gpt-5.5"].number
    assert trace.to_frame().set_index("name").loc["chat gpt-5.5", "self_time"] == pytest.approx(0, abs=1e-9)


def test_the_attributes_are_the_conventions() -> None:
    """Both providers' calls say operation, provider, model, why they ended, and their tokens."""

    async def main() -> None:
        await OpenAIProvider(sim.openai()).complete(request())
        await AnthropicProvider(sim.anthropic()).complete(request("claude-sonnet-5"))

    sim = Simulator(seed=1)
    with recording() as trace:
        run(main)
    for record, truth, provider in zip(trace, sim.log, ("openai", "anthropic"), strict=True):
        said = record.attributes
        assert record.name == f"chat {truth.model}"
        assert (said["gen_ai.operation.name"], said["gen_ai.provider.name"]) == ("chat", provider)
        assert (said["gen_ai.request.model"], said["gen_ai.response.finish_reasons"]) == (
            truth.model,
            ["length"],
        )
        assert said["gen_ai.usage.input_tokens"] == truth.input_tokens
        assert said["gen_ai.usage.output_tokens"] == truth.output_tokens


def test_the_attributes_of_embeddings() -> None:
    """A request for embeddings says its model, its dimensions and its tokens, and what became of it."""
    sim = Simulator(seed=1)

    async def main() -> None:
        await Embedder(sim.openai(), dimensions=64).embed_query("Why jitter?")
        with pytest.raises(AuthenticationError):
            await Embedder(Simulator(keys=["k"]).openai(), dimensions=64).embed_query("Why?")

    with recording() as trace:
        run(main)
    asked = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "text-embedding-3-small",
        "gen_ai.embeddings.dimension.count": 64,
    }
    said = {
        "gen_ai.response.model": "text-embedding-3-small",
        "gen_ai.usage.input_tokens": sim.log[0].input_tokens,
    }
    assert [record.attributes for record in trace] == [asked | said, asked]
    assert [record.name for record in trace] == ["embeddings text-embedding-3-small"] * 2
    assert [record.error for record in trace] == [None, "AuthenticationError"]


def test_one_logical_call_has_one_span() -> None:
    """What a call's span already covers, such as its attempts, is not counted as another call."""
    sim = Simulator(seed=1)

    async def main() -> None:
        with span("chat gpt-5.5", **{"gen_ai.operation.name": "chat"}), span("attempt"):
            async for _ in OpenAIProvider(sim.openai()).stream(request()):
                pass

    with recording() as trace:
        run(main)
    assert [record.name for record in trace] == ["chat gpt-5.5", "attempt", "ttft", "decode"]
    assert "gen_ai.usage.input_tokens" in trace[0].attributes
    assert "gen_ai.usage.input_tokens" not in trace[1].attributes


def test_attempts_backoff_and_queue_have_spans_of_their_own() -> None:
    """A call under policies shows all that it waited for, and is one call."""
    sim = Simulator(seed=1, faults=Faults(outages=(Outage(start=0, end=0.2),)))
    policies = Resilient(retry=RetryPolicy(attempts=6), limit=RateLimiter(rpm=60))
    provider = policies.provider(OpenAIProvider(sim.openai()))

    async def main() -> None:
        async for _ in provider.stream(request()):
            pass

    with recording() as trace:
        run(main)
    names = [record.name for record in trace]
    assert {"chat gpt-5.5", "queue", "attempt", "backoff", "ttft", "decode"} <= set(names)
    assert names.count("chat gpt-5.5") == 1
    assert names.count("attempt") == len(sim.log) == names.count("backoff") + 1
    (call,) = (record for record in trace if record.parent is None)
    assert sum(trace.to_frame()["critical"]) == pytest.approx(call.duration)


def test_a_stream_that_is_dropped_leaves_the_trace_whole() -> None:
    """A reader who leaves after the first token has a call with both phases, and goes on outside it."""
    trace = streamed(Simulator(seed=1), leave=True)
    spans = {record.name: record for record in trace}
    assert all(record.end is not None for record in trace)
    assert spans["answer"].duration > 1
    assert "decode" in spans


def test_a_stream_that_is_left_before_its_first_token() -> None:
    """It was never decoded: all of its time was the wait for a first token."""

    async def main() -> None:
        stream = OpenAIProvider(Simulator(seed=1).openai()).stream(request())
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # a generator

    with recording() as trace:
        run(main)
    assert [record.name for record in trace] == ["chat gpt-5.5", "ttft"]


def test_an_error_before_the_first_token() -> None:
    """A call that fails has its error, and no phases that it did not reach."""
    sim = Simulator(seed=1)

    async def main() -> None:
        async with asyncio.timeout(0.01):
            async for _ in OpenAIProvider(sim.openai()).stream(request()):
                pass

    with recording() as trace, pytest.raises(TimeoutError):
        run(main)
    assert [(record.name, record.error) for record in trace] == [("chat gpt-5.5", "CancelledError")]


ODD = {"n": 2, "set": {1}, "nan": math.nan, "huge": 2**64, "mixed": [1, "a"], "deep": [[1]], "none": None}
PLAIN = {name: value if name == "n" else str(value) for name, value in ODD.items()}


# -- Perfetto ------------------------------------------------------------------------------------------


def test_chrome_events_nest_on_their_tracks() -> None:
    """On one track any two events lie inside each other or do not meet; few tracks are enough."""

    async def work(item: int) -> None:
        with span(f"step {item}", item=item):
            await asyncio.sleep(item)
            await asyncio.gather(asyncio.sleep(0), inner(1), inner(2))

    async def inner(seconds: int) -> None:
        with span("inner"):
            await asyncio.sleep(seconds)

    async def main() -> None:
        with span("all"):
            await fan_out(work, range(7), limit=3)

    with recording() as trace:
        run(main)
    events = well_formed(trace)
    assert len(events) == len(trace)
    (root,) = (event for event in events if event["name"] == "all")
    assert (root["ts"], root["dur"]) == (0, trace[0].duration * 1e6)
    assert len({event["tid"] for event in events}) < len(events) / 2


def well_formed(trace: Trace) -> list[dict[str, Any]]:
    """The events as a reader of JSON has them, when they are as the format and Perfetto want them."""
    events: list[dict[str, Any]] = json.loads(
        json.dumps(trace.to_chrome(), allow_nan=False), parse_constant=pytest.fail
    )["traceEvents"]
    tracks: dict[int, list[tuple[int, int]]] = {}
    for event in events:
        assert (event["ph"], event["pid"]) == ("X", 1)
        assert event["dur"] >= 0
        start = round(event["ts"] * 1000)  # as Perfetto does: whole nanoseconds
        tracks.setdefault(event["tid"], []).append((start, start + round(event["dur"] * 1000)))
    for spans in tracks.values():
        for (start, end), (other, other_end) in combinations(spans, 2):
            inside = start <= other <= other_end <= end or other <= start <= end <= other_end
            assert inside or end <= other or other_end <= start
    return events


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 9), st.booleans()), min_size=1, max_size=9
    ),
    st.sampled_from([0.0, 86_400.7, 1e7 / 3]),
)
@settings(max_examples=50)
def test_chrome_events_of_any_times(drawn: list[tuple[float, float, int, bool]], began: float) -> None:
    """Wherever spans lie and overlap, at whatever time of a clock, their events are well formed."""
    with recording() as trace:
        for start, length, parent, to_its_end in drawn:
            with span("x") as record:
                pass
            above = trace[parent] if parent + 1 < len(trace) else None
            record.start = began + start if above is None else above.start + start * above.duration
            record.end = record.start + length
            if above is not None:
                record._above, record.end = above, above.end if to_its_end else record.end
            record.end = max(record.start, record.end or 0)
    assert len(well_formed(trace)) == len(trace)


def test_chrome_events_say_what_failed() -> None:
    """Attributes and the error are arguments, whatever their types."""
    with recording() as trace, pytest.raises(KeyError), span("a", **ODD):
        raise KeyError
    (event,) = well_formed(trace)
    assert event["args"] == {**PLAIN, "error.type": "KeyError"}


# -- OpenTelemetry -------------------------------------------------------------------------------------


def test_the_sdk_takes_our_spans() -> None:
    """Its in-memory exporter has each span with its parent, kind, times, status and attributes."""
    trace, exporter = streamed(Simulator(seed=1)), InMemorySpanExporter()
    trace.export(exporter, service="rag", seed=1)
    spans = {s.name: s for s in exporter.get_finished_spans()}
    answer, chat = spans["answer"], spans["chat gpt-5.5"]
    assert spans.keys() == {"answer", "chat gpt-5.5", "ttft", "decode"}
    assert chat.parent == answer.context
    assert answer.parent is None
    assert len({s.context.trace_id for s in spans.values() if s.context}) == 1
    assert (chat.kind, answer.kind) == (SpanKind.CLIENT, SpanKind.INTERNAL)
    assert chat.attributes is not None
    assert chat.attributes["gen_ai.request.model"] == "gpt-5.5"
    assert answer.attributes == {"sources": ["a", "b"], "odd": "{'x': 1}"}
    assert answer.resource.attributes["service.name"] == "rag"
    assert answer.start_time == 1_735_689_600 * 10**9  # when virtual time begins
    assert (answer.end_time or 0) - answer.start_time == pytest.approx(trace[0].duration * 1e9, abs=1000)
    again = InMemorySpanExporter()
    trace.export(again, seed=1)
    assert [s.context for s in again.get_finished_spans()] == [s.context for s in spans.values()]


def test_errors_and_unseeded_identifiers() -> None:
    """A failed span says so with its error's type; without a seed no two exports share a trace."""
    with recording() as trace, pytest.raises(KeyError), span("a"):
        raise KeyError
    exporter = InMemorySpanExporter()
    trace.export(exporter)
    trace.export(exporter)
    one, other = exporter.get_finished_spans()
    assert one.status.status_code is StatusCode.ERROR
    assert one.attributes == {"error.type": "KeyError"}
    assert one.context != other.context


@contextmanager
def receiver(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """An OTLP receiver on this machine; gives its address and what comes."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/traces", received
        finally:
            server.shutdown()
            thread.join()


def test_a_collector_receives_our_spans() -> None:
    """The SDK's OTLP exporter sends them over HTTP, and they are read there as they were recorded."""
    trace = streamed(Simulator(seed=1))
    with receiver() as (address, received):
        exporter = OTLPSpanExporter(address)
        trace.export(exporter, service="rag")
        exporter.shutdown()  # type: ignore[no-untyped-call]  # OpenTelemetry
    ((path, message),) = received
    (resource,) = message.resource_spans
    (scope,) = resource.scope_spans
    assert path == "/v1/traces"
    assert {s.name for s in scope.spans} == {"answer", "chat gpt-5.5", "ttft", "decode"}
    assert resource.resource.attributes[0].value.string_value == "rag"
    names = {record.number: record.name for record in trace}
    ids = {s.span_id: s.name for s in scope.spans}
    assert len(ids) == len(trace)
    assert len({s.trace_id for s in scope.spans}) == 1
    epoch = 1_735_689_600 * 10**9  # when virtual time begins
    assert {
        (s.name, ids.get(s.parent_span_id), s.start_time_unix_nano - epoch, s.end_time_unix_nano - epoch)
        for s in scope.spans
    } == {(r.name, names.get(r.parent or 0), round(r.start * 1e9), round((r.end or 0) * 1e9)) for r in trace}


def test_a_collector_receives_whatever_attributes_there_are() -> None:
    """What OTLP has no type for arrives as text; of the wall clock the instants are today's, in order."""
    with recording() as trace, span("outer", **ODD), span("inner"):
        pass
    before = time.time_ns()
    with receiver() as (address, received):
        exporter = OTLPSpanExporter(address)
        trace.export(exporter)
        exporter.shutdown()  # type: ignore[no-untyped-call]  # OpenTelemetry
    outer, inner = received[0][1].resource_spans[0].scope_spans[0].spans
    values = {each.key: each.value for each in outer.attributes}
    assert values["n"].int_value == 2
    assert {name: value.string_value for name, value in values.items() if name != "n"} == {
        name: value for name, value in PLAIN.items() if name != "n"
    }
    assert before - 60 * 10**9 < outer.start_time_unix_nano <= inner.start_time_unix_nano
    assert inner.end_time_unix_nano <= outer.end_time_unix_nano < before + 10**9


def test_a_collector_that_refuses() -> None:
    """Spans that nobody took are an error, not silence."""
    trace = streamed(Simulator(seed=1))
    with receiver(400) as (address, _):
        exporter = OTLPSpanExporter(address)
        with pytest.raises(ConfigurationError, match="took none of the 4 spans"):
            trace.export(exporter)

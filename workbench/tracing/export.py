"""Traces for other tools: Chrome's trace events, which Perfetto draws, and OpenTelemetry's exporters."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.clock.current import EPOCH
from workbench.errors import ConfigurationError
from workbench.tracing.paths import parts
from workbench.tracing.spans import SpanRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["chrome", "export"]


def chrome(spans: Sequence[SpanRecord]) -> dict[str, Any]:
    """Complete events ("X") in microseconds; on one track spans lie inside each other or do not meet.

    The format: "Trace Event Format", Google, 2016.  Perfetto reads nanoseconds: both ends of a span are
    rounded to them, so that what lies in something still does.
    """
    events = [
        {
            "name": record.name,
            "ph": "X",
            "ts": (start := _nanoseconds(record.start)) / 1000,
            "dur": (_nanoseconds(record.start + record.duration) - start) / 1000,
            "pid": 1,
            "tid": track,
            "args": _attributes(record),
        }
        for record, track in _tracks(spans)
    ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _tracks(spans: Sequence[SpanRecord]) -> list[tuple[SpanRecord, int]]:
    """(span, its track, from 1): that of the span around it, unless another part of that is there."""
    inside, placed = parts(spans), []
    taken: list[float] = []  # until when there is something on each track
    track_of: dict[int, int] = {}
    until: dict[int, tuple[float, float]] = {}  # of each span: when its last part on its track ends, and it
    waiting = list(reversed(inside[0]))
    while waiting:
        record = waiting.pop()
        end = record.start + record.duration
        above = record.parent or 0
        part_ended, above_ends = until.get(above, (0.0, -1.0))
        if part_ended <= record.start and end <= above_ends:
            track, until[above] = track_of[above], (end, above_ends)
        else:
            track = next((i for i, busy in enumerate(taken) if busy <= record.start), len(taken))
            taken[track : track + 1] = [end]
        track_of[record.number], until[record.number] = track, (record.start, end)
        placed.append((record, track + 1))
        waiting += reversed(inside.get(record.number, []))
    return placed


def export(
    spans: Sequence[SpanRecord], exporter: SpanExporter, *, service: str, seed: int | None = None
) -> None:
    """Hand the ended spans to an OpenTelemetry exporter; see :meth:`workbench.tracing.Trace.export`."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    rng = random.Random(seed) if seed is not None else random.SystemRandom()
    began = {True: time.time_ns() - time.monotonic_ns(), False: _nanoseconds(EPOCH.timestamp())}
    resource, scope = Resource({"service.name": service}), InstrumentationScope("workbench")
    contexts: dict[int, SpanContext] = {}
    inside, readable = parts(spans), []
    waiting = list(reversed(inside[0]))
    while waiting:
        record = waiting.pop()
        parent = contexts.get(record.parent or 0)
        trace_id = parent.trace_id if parent else rng.getrandbits(128) | 1
        flags = TraceFlags(TraceFlags.SAMPLED)
        contexts[record.number] = SpanContext(trace_id, rng.getrandbits(64) | 1, False, flags)
        attributes, epoch = _attributes(record), began[record._clock is time.monotonic]
        client = attributes.get("gen_ai.operation.name") in ("chat", "embeddings")
        readable.append(
            ReadableSpan(
                record.name,
                context=contexts[record.number],
                parent=parent,
                resource=resource,
                attributes=attributes,
                kind=SpanKind.CLIENT if client else SpanKind.INTERNAL,
                status=Status(StatusCode.ERROR if record.error else StatusCode.UNSET),
                start_time=epoch + _nanoseconds(record.start),
                end_time=epoch + _nanoseconds(record.start + record.duration),
                instrumentation_scope=scope,
            )
        )
        waiting += reversed(inside.get(record.number, []))
    if exporter.export(readable) is not SpanExportResult.SUCCESS:
        raise ConfigurationError(f"{type(exporter).__name__} took none of the {len(readable)} spans")


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _attributes(record: SpanRecord) -> dict[str, Any]:
    said = {name: _plain(value) for name, value in record.attributes.items()}
    return said | {"error.type": record.error} if record.error else said


def _plain(value: Any) -> Any:
    """A value as JSON and OTLP have them: a text, a truth, a finite number, or a list of one kind."""
    if isinstance(value, list | tuple):
        items = [_plain(item) for item in value]
        kinds = {type(item) for item in items}
        return items if len(kinds) == 1 and list not in kinds else str(value)
    fits = isinstance(value, str | bool)
    fits = fits or (isinstance(value, int) and -(2**63) <= value < 2**63)
    fits = fits or (isinstance(value, float) and math.isfinite(value))
    return value if fits else str(value)

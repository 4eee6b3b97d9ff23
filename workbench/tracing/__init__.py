"""Spans: what took how long, inside what.

    with recording() as trace:
        with span("retrieve", source="docs"):
            …

spans.py    are recorded              genai.py    what those of model calls are called
paths.py    what the time went into   export.py   for Perfetto and OpenTelemetry
"""

from workbench.tracing.spans import SpanRecord, Trace, current_span, is_recording, recording, span

__all__ = ["SpanRecord", "Trace", "current_span", "is_recording", "recording", "span"]

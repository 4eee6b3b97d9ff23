"""What the time of a span went into: its own work, its parts, and those of them that it waited for.

A span's *self time* is the time in which none of its parts ran.  The *critical path* of a trace is found from
its end: whatever ended last was waited for; before it began, whatever had ended last by then; and so on.
What shortens a span that is not on the path shortens nothing (Yang and Miller, ICDCS 1988).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from workbench.tracing.spans import SpanRecord

__all__ = ["critical_path", "critical_seconds", "parts", "self_times"]


def parts(spans: Sequence[SpanRecord]) -> dict[int, list[SpanRecord]]:
    """The ended spans inside each span, by its number, in the order of their starts; 0: inside none."""
    known = {record.number for record in spans if record.end is not None}
    inside: dict[int, list[SpanRecord]] = defaultdict(list)
    for record in sorted(spans, key=lambda record: (record.start, record.number)):
        if record.number in known:
            inside[record.parent if record.parent in known and record.parent else 0].append(record)
    return inside


def self_times(spans: Sequence[SpanRecord]) -> dict[int, float]:
    """Seconds of each ended span, by its number, in which none of its parts ran."""
    inside, found = parts(spans), {}
    for record in spans:
        if record.end is not None:
            free, seen = 0.0, record.start
            for part in inside.get(record.number, ()):
                free += max(0.0, min(part.start, record.end) - seen)
                seen = max(seen, part.start + part.duration)
            found[record.number] = free + max(0.0, record.end - seen)
    return found


def critical_path(spans: Sequence[SpanRecord]) -> list[tuple[SpanRecord, float, float]]:
    """(span, from, to): what each outermost span waited for, instant by instant; the pieces join."""
    inside = parts(spans)
    path = [piece for root in inside[0] for piece in _waited(root, root.start + root.duration, inside)]
    return sorted(path, key=lambda piece: (piece[1], piece[2]))


def critical_seconds(spans: Sequence[SpanRecord]) -> dict[int, float]:
    """Seconds of the critical path in each ended span, by its number."""
    seconds = {record.number: 0.0 for record in spans if record.end is not None}
    for record, start, end in critical_path(spans):
        seconds[record.number] += end - start
    return seconds


def _waited(
    root: SpanRecord, until: float, inside: dict[int, list[SpanRecord]]
) -> Iterator[tuple[SpanRecord, float, float]]:
    """The pieces of the path in `root` up to `until`, from the last to the first."""
    waiting = [(root, until)]  # a stack, since traces may be deeper than Python's
    while waiting:
        record, last = waiting.pop()
        until = last
        for part in sorted(inside.get(record.number, ()), key=lambda p: (-p.start - p.duration, p.start)):
            end = part.start + part.duration
            if end > until and until == last:
                end = until  # it outlasts what it is a part of
            if part.start < end <= until:  # else it ran beside what was waited for
                if end < until:
                    yield record, end, until
                waiting.append((part, end))
                until = max(part.start, record.start)
        if record.start < until:
            yield record, record.start, until

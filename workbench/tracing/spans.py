"""Spans: what took how long, inside what.

    with recording() as trace:
        with span("retrieve", source="docs"):
            …

The current span is a context variable, so that spans nest across ``await``, tasks and ``asyncio.to_thread``.
Where nobody records, a span costs next to nothing.  Times come from the current clock.

A span's parent is the innermost span of its context that is still open.  An async generator shares its
consumer's context: one that is dropped inside a span is closed later, elsewhere, and must not stay a parent.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from workbench.clock import reader

if TYPE_CHECKING:
    import pandas as pd
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["SpanRecord", "Trace", "current_span", "is_recording", "recording", "span"]


class SpanRecord:
    """One span.  Times are seconds on the clock of the code that ran in it.

    Attributes:
        number: in the order of the recording, from 1; unique in its trace.  0: it is not recorded.
        name: what it is.
        start: when it began.
        end: when it ended; None while it runs.
        error: the type of the exception that ended it, or None.
        attributes: whatever else is known of it.
    """

    __slots__ = ("_above", "_clock", "_trace", "attributes", "end", "error", "name", "number", "start")

    number: int
    name: str
    start: float
    end: float | None
    error: str | None
    attributes: dict[str, Any]
    _above: Any  # the SpanRecord around it, or None
    _trace: Any  # the Trace that it is in, or None
    _clock: Callable[[], float]

    def __repr__(self) -> str:
        took = "running" if self.end is None else f"{self.duration:.3f} s"
        return f"<span {self.number}: {self.name!r}, {took}>"

    @property
    def parent(self) -> int | None:
        """The number of the span around it, or None."""
        return self._above.number if self._above is not None and self._above.number else None

    @property
    def duration(self) -> float:
        """Seconds that it took; NaN while it runs."""
        return float("nan") if self.end is None else self.end - self.start

    def add(self, name: str, /, start: float, end: float, **attributes: Any) -> None:
        """Record a part of it afterwards, such as the wait for a first token: nothing lies inside that.

        If this span has ended meanwhile, it becomes a part of the one around it that has not.
        """
        above: Any = self
        while above is not None and above.end is not None:
            above = above._above
        trace = above and above._trace
        if trace is None or not trace._open:
            return
        record = SpanRecord()
        record.name, record.start, record.end, record.error = name, start, end, None
        record.number, record._above, record._trace = next(trace._numbers), above, trace
        record._clock, record.attributes = self._clock, attributes
        trace._records.append(record)


class Trace(Sequence[SpanRecord]):
    """The spans recorded in one ``with recording()`` block, in the order in which they were."""

    __slots__ = ("_clock", "_loop", "_numbers", "_open", "_records")

    _clock: Callable[[], float]

    def __init__(self) -> None:
        self._records: list[SpanRecord] = []
        self._numbers = itertools.count(1)
        self._open = True
        self._loop: object = self  # no loop yet
        self._clock = time.monotonic

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> SpanRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[SpanRecord]: ...
    def __getitem__(self, index: int | slice) -> SpanRecord | list[SpanRecord]:
        return self._records[index]

    def __repr__(self) -> str:
        return f"<Trace: {len(self)} spans>"

    def within(self, number: int) -> list[SpanRecord]:
        """One span and all that is inside it, such as one request of many."""
        found: dict[int, SpanRecord] = {}
        for record in self._records:
            if record.number == number or record.parent in found:
                found[record.number] = record
        return list(found.values())

    def to_frame(self) -> pd.DataFrame:
        """One row for each span.

        Its columns: `parent`, `name`, `start`, `end`, `duration`, `self_time` (seconds in which none of its
        parts ran), `critical` (seconds for which the outermost span around it waited for this one and for
        nothing inside it), `error`, `attributes`.
        """
        import pandas as pd

        from workbench.tracing.paths import critical_seconds, self_times

        columns = ["number", "parent", "name", "start", "end", "duration", "error", "attributes"]
        rows = [[getattr(record, column) for column in columns] for record in self]
        frame = pd.DataFrame(rows, columns=columns).set_index("number")
        frame.insert(5, "self_time", pd.Series(self_times(self), dtype=float))
        frame.insert(6, "critical", pd.Series(critical_seconds(self), dtype=float))
        return frame.astype({"parent": "Int64", "start": float, "end": float, "duration": float})

    def to_chrome(self) -> dict[str, Any]:
        """The trace as an object for JSON that Perfetto and Chrome's tracing page open."""
        from workbench.tracing.export import chrome

        return chrome(self)

    def export(self, exporter: SpanExporter, *, service: str = "workbench", seed: int | None = None) -> None:
        """Hand the ended spans to an OpenTelemetry exporter; needs the extra ``otel``.

        Args:
            exporter: such as the SDK's ``InMemorySpanExporter`` or an ``OTLPSpanExporter``.
            service: the resource's ``service.name``.
            seed: for the identifiers; None: they are never the same twice.

        Raises:
            ConfigurationError: the exporter took nothing.
        """
        from workbench.tracing.export import export

        export(self, exporter, service=service, seed=seed)

    def _look_up_clock(self) -> Callable[[], float]:
        """The current clock, looked up once for each event loop.

        A running loop is known by its hook for async generators, which is its own and its thread's: on
        Python 3.11 it takes a system call to ask for the loop itself.  In a thread without a loop, the clock
        depends on who started it.
        """
        clock, hook = reader(), _hooks()[0]
        if hook is not None:
            self._loop, self._clock = hook, clock
        return clock


_CURRENT: ContextVar[SpanRecord | None] = ContextVar("workbench.span", default=None)
_get, _set, _hooks = _CURRENT.get, _CURRENT.set, sys.get_asyncgen_hooks  # a tenth of a microsecond counts


@contextmanager
def recording() -> Iterator[Trace]:
    """Record the spans of this block, of the tasks that it starts and of the threads that they use.

    What is still running when the block ends may end its open spans, but begins no new ones.
    """
    trace = Trace()
    root = SpanRecord()
    root.number, root.end, root._above, root._trace, root.attributes = 0, None, None, trace, {}
    around = _CURRENT.get()
    _CURRENT.set(root)
    try:
        yield trace
    finally:
        trace._open = False
        _CURRENT.set(around)


def is_recording() -> bool:
    """Whether a span would be recorded here: what is called very often need not begin one."""
    above = _get()
    return above is not None and above._trace._open


def current_span() -> SpanRecord | None:
    """The innermost span that this code runs in; None where nobody records."""
    current = _CURRENT.get()
    while current is not None and current.end is not None:
        current = current._above
    return current if current is not None and current.number else None


class span(SpanRecord):
    """Record a block of code as a span, once; ``with`` gives its record.

    Args:
        name: what it is, for example a stage's name.
        attributes: whatever else is known of it; more can be added to the record's `attributes`.
    """

    __slots__ = ()

    def __init__(self, name: str, /, **attributes: Any) -> None:
        self.name = name
        self.attributes = attributes
        self.error = self.end = None

    def __enter__(self) -> SpanRecord:
        above = _get()
        if above is None or not (trace := above._trace)._open:
            self.number, self.start, self._above, self._trace = 0, 0.0, None, None
            return self
        while above.end is not None:
            above = above._above  # a trace's root never ends
        self.number = next(trace._numbers)
        self._above = above
        self._trace = trace
        trace._records.append(self)
        _set(self)
        self._clock = clock = trace._clock if trace._loop is _hooks()[0] else trace._look_up_clock()
        self.start = clock()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._trace is None:
            return
        self.end = self._clock()
        if kind is not None and kind is not GeneratorExit:  # its consumer has had enough
            self.error = kind.__name__
        if _get() is self:  # not in another context, nor around a span that is still open
            _set(self._above)

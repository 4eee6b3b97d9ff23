"""Spans: what took how long, inside what.

    with recording() as trace:
        with span("retrieve", source="docs"):
            …

The current span is a context variable, so that spans nest across ``await``, tasks and ``asyncio.to_thread``.
Where nobody records, a span costs next to nothing.  Times come from the current clock.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from workbench.clock import now

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SpanRecord", "Trace", "current_span", "recording", "span"]


@dataclass(slots=True)
class SpanRecord:
    """One span.  Times are seconds on the clock of the code that ran in it.

    Args:
        number: in the order of the starts, from 1; unique in its trace.
        parent: the number of the span around it, or None.
        name: what it is.
        start: when it began.
        end: when it ended; None while it runs.
        error: the type of the exception that ended it, or None.
        attributes: whatever else is known of it.
    """

    number: int
    parent: int | None
    name: str
    start: float
    end: float | None
    error: str | None
    attributes: dict[str, Any]

    @property
    def duration(self) -> float:
        """Seconds that it took; NaN while it runs."""
        return float("nan") if self.end is None else self.end - self.start


class Trace(Sequence[SpanRecord]):
    """The spans recorded in one ``with recording()`` block, in the order of their starts."""

    def __init__(self) -> None:
        self._records: list[SpanRecord] = []
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:
        return self._records[index]

    def __repr__(self) -> str:
        return f"<Trace: {len(self)} spans>"

    def to_frame(self) -> pd.DataFrame:
        """One row for each span: `parent`, `name`, `start`, `end`, `duration`, `error`, `attributes`."""
        import pandas as pd

        columns = ["number", "parent", "name", "start", "end", "duration", "error", "attributes"]
        rows = [[getattr(record, column) for column in columns] for record in self]
        frame = pd.DataFrame(rows, columns=columns).set_index("number")
        return frame.astype({"parent": "Int64"})


_TRACE: ContextVar[Trace | None] = ContextVar("workbench.trace", default=None)
_SPAN: ContextVar[SpanRecord | None] = ContextVar("workbench.span", default=None)


@contextmanager
def recording() -> Iterator[Trace]:
    """Record the spans of this block, of the tasks that it starts and of the threads that they use."""
    trace = Trace()
    tokens = _TRACE.set(trace), _SPAN.set(None)
    try:
        yield trace
    finally:
        _TRACE.reset(tokens[0])
        _SPAN.reset(tokens[1])


def current_span() -> SpanRecord | None:
    """The innermost span that this code runs in."""
    return _SPAN.get()


class span:
    """Record a block of code as a span.

    Args:
        name: what it is, for example a stage's name.
        attributes: whatever else is known of it; more can be added to the record that `with` gives.
    """

    __slots__ = ("_attributes", "_name", "_record", "_token")

    def __init__(self, name: str, **attributes: Any) -> None:
        self._name = name
        self._attributes = attributes
        self._token: Token[SpanRecord | None] | None = None

    def __enter__(self) -> SpanRecord:
        trace = _TRACE.get()
        if trace is None:
            return SpanRecord(0, None, self._name, 0.0, None, None, self._attributes)
        parent = _SPAN.get()
        above = None if parent is None else parent.number
        number = next(trace._numbers)
        record = SpanRecord(number, above, self._name, now(), None, None, self._attributes)
        self._record = record
        trace._records.append(record)
        self._token = _SPAN.set(record)
        return record

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is None:
            return
        self._record.end = now()
        if kind is not None:
            self._record.error = kind.__name__
        try:
            _SPAN.reset(self._token)
        except ValueError:  # an async generator that was closed in another context
            _SPAN.set(None)

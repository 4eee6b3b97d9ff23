"""The provider's own record of what happened: the truth that a client's measurements are held against."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcome", "RequestLog", "RequestRecord"]

Outcome = Literal["ok", "rejected", "failed", "broken", "cancelled", "in flight"]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as the provider saw it.  Instants are seconds on the simulator's timeline.

    Args:
        number: in the order of arrival, from 1.
        arrival: when it came.
        route: what it asked for, such as ``POST /v1/messages``; empty where there is no such route.
        started: when its service began, after `started - arrival` seconds in the queue; None if never.
        first_token: when the first token was made; None if never.
        tokens: when each token was made.
        ended: when the answer was complete, or the request was refused, broken off or given up; of one
            that is in flight, the instant at which the log was read.
        status: the HTTP status; None where the connection failed before there was one.
        outcome: ``ok``; ``rejected``: an error that says what is wrong with the request, its key or its
            rate; ``failed``: an error of the provider's; ``broken``: the connection or the stream was
            cut or spoilt; ``cancelled``: the client gave up (closed, cancelled, or timed out);
            ``in flight``: still to come.
        error: the kind of error, where there was one.
        input_tokens: of the prompt.
        output_tokens: of the answer as far as it was made.
    """

    number: int
    arrival: float
    provider: str
    route: str
    model: str | None
    stream: bool
    started: float | None
    first_token: float | None
    tokens: tuple[float, ...]
    ended: float
    status: int | None
    outcome: Outcome
    error: str | None
    input_tokens: int
    output_tokens: int
    request_id: str

    @property
    def queued(self) -> float:
        """Seconds in the queue."""
        return (self.ended if self.started is None else self.started) - self.arrival

    @property
    def duration(self) -> float:
        """Seconds from arrival to end."""
        return self.ended - self.arrival


class RequestLog(Sequence[RequestRecord]):
    """The records of all requests so far, in the order of arrival."""

    def __init__(self, records: Sequence[RequestRecord]) -> None:
        self._records = tuple(records)

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> RequestRecord: ...
    @overload
    def __getitem__(self, index: slice) -> RequestLog: ...
    def __getitem__(self, index: int | slice) -> RequestRecord | RequestLog:
        if isinstance(index, slice):
            return RequestLog(self._records[index])
        return self._records[index]

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(self._records)

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(self.outcomes().items()))
        return f"<RequestLog: {len(self)} requests ({counts})>"

    def outcomes(self) -> dict[str, int]:
        """How many requests ended in which way."""
        counts: dict[str, int] = {}
        for record in self:
            counts[record.outcome] = counts.get(record.outcome, 0) + 1
        return counts

    def statuses(self) -> dict[int | None, int]:
        """How many requests were answered by which HTTP status."""
        counts: dict[int | None, int] = {}
        for record in self:
            counts[record.status] = counts.get(record.status, 0) + 1
        return counts

    def peak_in_flight(self) -> int:
        """The greatest number of requests that were there at once, queued ones included."""
        steps = [(r.arrival, 1) for r in self] + [(r.ended, -1) for r in self]
        peak = level = 0
        for _, step in sorted(steps):
            level += step
            peak = max(peak, level)
        return peak

    def to_frame(self) -> pd.DataFrame:
        """One row for each request, with `queued` and `duration` (seconds); `tokens` holds tuples."""
        import pandas as pd

        columns = list(RequestRecord.__dataclass_fields__)
        rows = [[getattr(r, c) for c in columns] + [r.queued, r.duration] for r in self]
        return pd.DataFrame(rows, columns=[*columns, "queued", "duration"]).set_index("number")

    def to_jsonl(self) -> str:
        """One JSON object a line, times rounded to the nanosecond: the same run gives the same text."""
        return "".join(f"{json.dumps(_plain(r), separators=(',', ':'))}\n" for r in self)

    def digest(self) -> str:
        """The SHA-256 of :meth:`to_jsonl`: equal digests are equal logs."""
        return hashlib.sha256(self.to_jsonl().encode()).hexdigest()


def _plain(record: RequestRecord) -> dict[str, object]:
    fields = asdict(record)
    for name in ("arrival", "started", "first_token", "ended"):
        if fields[name] is not None:
            fields[name] = round(fields[name], 9)
    fields["tokens"] = [round(at, 9) for at in record.tokens]
    return fields

"""One request and its answer: what is due when, how it can break, and what the log says of it."""

from __future__ import annotations

import enum
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from workbench.simulator.log import Outcome, RequestRecord
from workbench.simulator.models import Gaps, ModelProfile
from workbench.simulator.slots import SLACK, Place

__all__ = ["Breakage", "Exchange", "Job", "Part", "Schedule"]


class Breakage(enum.Enum):
    """How a connection fails, in place of the next bytes."""

    REFUSED = "the connection was refused"
    RESET = "the connection was reset by the peer"
    DISCONNECTED = "the peer closed the connection without sending the complete message body"


Part = tuple[float, bytes | Breakage]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each token of an answer is made, in seconds after the start of its service."""

    gaps: Gaps
    origin: int
    first: float
    tokens: int
    stall_at: int
    stall_seconds: float

    @property
    def last(self) -> float:
        """The instant of the last token."""
        stalled = self.stall_seconds if self.stall_at < self.tokens else 0.0
        made = self.gaps.span(self.origin, self.tokens) if self.tokens else 0.0
        return self.first + made + stalled

    def offsets(self) -> list[float]:
        """The instant of each token."""
        times = [self.first + at for at in self.gaps.times(self.origin, self.tokens)]
        stalled = [at + self.stall_seconds for at in times[self.stall_at :]]
        return [*times[: self.stall_at], *stalled] if stalled else times


@dataclass(slots=True, kw_only=True, eq=False)
class Job(Place):
    """What a model does in the background, whoever is still there: it has a place, and no connection."""

    stopped_at: float = math.inf

    @property
    def over(self) -> float:
        """When it is done, or was stopped."""
        return min(self.end, self.stopped_at)


@dataclass(slots=True, eq=False)
class Exchange(Place):
    """One request and its answer: what is due, and at which time after the start of its service.

    The head (status and headers) is due at `head_offset`.  `parts` yields (offset, bytes or breakage): a
    stream's follow one by one, any other answer has a single one that is due with its head.  A stream that
    is `outcome` "broken" was right until `spoilt_offset`.  Work that it only began, or a stream of such work,
    is its `job`.
    """

    number: int
    provider: str
    arrival: float
    request_id: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    parts: Iterable[Part] = ()
    head_offset: float = 0.0
    spoilt_offset: float = math.inf
    route: str = ""
    model: ModelProfile | None = None
    stream: bool = False
    outcome: Outcome = "ok"
    error: str | None = None
    input_tokens: int = 0
    cached_tokens: int = 0  # of the input, those that are not read again
    output_tokens: tuple[int, ...] = ()  # of each choice
    schedule: Schedule | None = None
    cancelled_at: float | None = None
    delivered: bool = False
    job: Job | None = None
    moved_up: Sequence[Exchange] = ()  # those that start earlier since this request has stopped a job
    _made: tuple[float, tuple[float, ...]] | None = field(default=None, init=False)

    @property
    def place(self) -> Place:
        """Where it is served: in its own place, or in that of its job."""
        return self.job or self

    @property
    def gone_at(self) -> float:
        """When nobody wanted the answer any more; a job's client may go, and it is wanted all the same."""
        if self.job:
            return self.job.stopped_at
        return math.inf if self.cancelled_at is None else self.cancelled_at

    @property
    def complete_at(self) -> float:
        """When the answer comes to its end: a stream of a job ends with that, which may still move up."""
        return max(self.end, self.job.over) if self.job and self.streams else self.end

    @property
    def streams(self) -> bool:
        """Whether the body follows its head bit by bit."""
        return self.stream and self.status == 200

    @property
    def given_up(self) -> bool:
        """Whether the client went before the answer was complete, or had gone wrong."""
        return self.cancelled_at is not None and self.cancelled_at < self.start + self.spoilt_offset - SLACK

    def has_begun(self, now: float) -> bool:
        """Whether by `now` the model has begun to answer a client that was still there."""
        first = math.inf if self.schedule is None else self.place.start + self.schedule.first - SLACK
        return now >= first and self.gone_at >= first

    def complete(self, now: float) -> bool:
        """Whether at `now` the answer has come to its end, as it should."""
        return self.outcome == "ok" and self.cancelled_at is None and now >= self.end - SLACK

    def under_way(self, now: float) -> bool:
        """Whether at `now` the answer is still to be completed, and its client still there."""
        return now < min(self.place.end, self.gone_at) - SLACK

    def deliver(self, offset: float, part: bytes | Breakage) -> None:
        """Answer by a single part, which is due with its head."""
        self.parts = [(offset, part)]
        self.head_offset = offset

    def stream_from(self, offset: float, parts: Iterable[Part]) -> None:
        """Answer by a stream, whose head is due at `offset`."""
        self.headers["content-type"] = "text/event-stream; charset=utf-8"
        self.status, self.stream, self.head_offset, self.parts = 200, True, offset, parts

    def _instants(self) -> tuple[float, ...]:
        """When each token is made: worked out once, unless the exchange moves up in the queue."""
        start = self.place.start
        if self._made is None or self._made[0] != start:
            offsets = self.schedule.offsets() if self.schedule else []
            self._made = start, tuple([round(start + offset, 9) for offset in offsets])
        return self._made[1]

    def record(self, now: float) -> RequestRecord:
        """What the log says of this exchange at `now`; instants to the nanosecond, as clocks tell time."""
        end = self.complete_at if self.cancelled_at is None else self.cancelled_at
        in_flight = not self.delivered and self.cancelled_at is None and now < end - SLACK
        end = round(now if in_flight else end, 9)
        until = end
        if self.job:  # of which more may be known than at the last reading of the clock
            until = round(min(max(now, end), self.job.over), 9)
        start = round(self.place.start, 9)
        served = self.schedule is not None and start <= until
        made = self._instants() if served else ()
        tokens = made[: bisect_right(made, until)]
        return RequestRecord(
            number=self.number,
            arrival=round(self.arrival, 9),
            provider=self.provider,
            route=self.route,
            model=None if self.model is None else self.model.name,
            stream=self.stream,
            started=start if served else None,
            first_token=tokens[0] if tokens else None,
            tokens=tokens,
            ended=end,
            status=None if end < self.start + self.head_offset - SLACK else self.status,
            outcome="in flight" if in_flight else "cancelled" if self.given_up else self.outcome,
            error=None if in_flight or self.given_up else self.error,
            input_tokens=self.input_tokens,
            output_tokens=sum(min(len(tokens), whole) for whole in self.output_tokens),
            request_id=self.request_id,
        )

"""Anthropic's message batches: many requests at once, answered apart from what is asked live.

All is decided when a batch is made: which of its requests is served from when until when, and what comes of
it.  What the API shows of the batch is a function of that, of the instant at which it was cancelled, and of
the instant at which it is asked.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import Field, JsonValue, ValidationError

from workbench.simulator.anthropic_lists import encode_page, list_page
from workbench.simulator.asking import ask_apart
from workbench.simulator.exchange import Exchange
from workbench.simulator.reception import Route, Visit
from workbench.simulator.slots import SLACK
from workbench.simulator.store import Item
from workbench.wire.anthropic import MESSAGES, error_body
from workbench.wire.dialect import WireError, WireModel, compact, first_error

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ROUTES", "Batch", "Line"]

_PLACES = 8  # requests of a batch that are served at once
_SETUP = 1.0  # seconds before the first is
_EXPIRY = 24 * 3600.0  # seconds after which a batch ends in any case
_KIND = "message_batch"
_MADE_UP = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch: from when until when it is served, in seconds, and what comes of it."""

    custom_id: str
    start: float
    end: float
    result: dict[str, Any]


@dataclass(slots=True)
class Batch:
    """A batch; `made_at` is the instant at which it was made, `date` the date of that."""

    id: str
    made_at: float
    date: datetime
    lines: Sequence[Line]
    cancelled_at: float | None = None

    @property
    def expires_at(self) -> float:
        """When it ends in any case."""
        return self.made_at + _EXPIRY

    @property
    def ended_at(self) -> float:
        """When all its requests have been answered or dropped; what is under way is not interrupted."""
        served = [line.end for line in self.lines if self._is_served(line)]
        return min(max([self.made_at + _SETUP, self.cancelled_at or 0.0, *served]), self.expires_at)

    def has_ended(self, now: float) -> bool:
        """Whether it has by `now`."""
        return now >= self.ended_at - SLACK

    def _is_served(self, line: Line) -> bool:
        return self.cancelled_at is None or line.start <= self.cancelled_at

    def result(self, line: Line) -> dict[str, Any]:
        """What came of a request in the end."""
        if not self._is_served(line):
            return {"type": "canceled"}
        return {"type": "expired"} if line.end > self.expires_at else line.result

    def results(self) -> Iterator[dict[str, Any]]:
        """What came of all requests, in the order in which they were done."""
        for line in sorted(self.lines, key=lambda line: line.end):
            yield {"custom_id": line.custom_id, "result": self.result(line)}

    def view(self, now: float, results_url: str) -> dict[str, Any]:
        """The batch as the API shows it at `now`.

        All of its requests count as under way until the last of them is done.
        """
        ended, cancelled = self.has_ended(now), self.cancelled_at is not None
        tally = Counter(self.result(line)["type"] for line in self.lines if ended)
        counts = {kind: tally[kind] for kind in ("succeeded", "errored", "canceled", "expired")}
        return {
            "id": self.id,
            "type": _KIND,
            "processing_status": "ended" if ended else "canceling" if cancelled else "in_progress",
            "request_counts": {"processing": 0 if ended else len(self.lines), **counts},
            "created_at": self._date(self.made_at),
            "expires_at": self._date(self.expires_at),
            "ended_at": self._date(self.ended_at) if ended else None,
            "cancel_initiated_at": None if self.cancelled_at is None else self._date(self.cancelled_at),
            "archived_at": None,
            "results_url": results_url if ended else None,
        }

    def _date(self, at: float) -> str:
        return (self.date + timedelta(seconds=at - self.made_at)).isoformat().replace("+00:00", "Z")


class _Request(WireModel):
    custom_id: str = Field(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64, min_length=1)
    params: dict[str, JsonValue]


class _Body(WireModel):
    requests: list[_Request] = Field(min_length=1, max_length=100_000)


def _decode(body: dict[str, Any]) -> list[_Request]:
    try:
        requests = _Body.model_validate(body).requests
    except ValidationError as error:
        _, loc, message = first_error(error)
        place = ".".join(map(str, loc))
        raise WireError("invalid_request", f"{place}: {message}", param=place) from error
    for custom_id, count in Counter(request.custom_id for request in requests).items():
        if count > 1:
            message = f"requests: custom_id values must be unique, but {custom_id!r} stands {count} times"
            raise WireError("invalid_request", message, param="requests")
    return requests


def _create(engine: Engine, visit: Visit) -> None:
    free = [visit.now + _SETUP] * _PLACES
    lines = []
    for request in _decode(visit.json()):
        line = _serve(engine, visit, request, free[0])
        heapq.heapreplace(free, line.end)
        lines.append(line)
    exchange = visit.exchange
    batch = Batch(f"msgbatch_{exchange.request_id[4:]}", visit.now, visit.date, lines)
    engine.shelf(visit, _KIND).put(Item(batch.id, {"batch": batch}, exchange))
    _reply(engine, visit, batch)


def _serve(engine: Engine, visit: Visit, request: _Request, start: float) -> Line:
    """Ask the model for one of the requests, from `start` on."""
    parent = visit.exchange
    own = Exchange(0, parent.provider, start, parent.request_id, start=start)
    http = replace(visit.request, body=compact(request.params).encode())
    date = visit.date + timedelta(seconds=start - visit.now)
    try:
        work = ask_apart(engine, replace(visit, exchange=own, request=http, now=start, date=date), MESSAGES)
        if work.call.stream:
            raise WireError("invalid_request", "stream: a batch's answers cannot be streamed", param="stream")
    except WireError as error:
        wrong = error_body(error, parent.request_id)
        return Line(request.custom_id, start, start, {"type": "errored", "error": wrong})
    call = replace(work.call, options={**work.call.options, "service_tier": "batch"})
    message = replace(work, call=call).encode()
    return Line(request.custom_id, start, start + own.duration, {"type": "succeeded", "message": message})


def _find(engine: Engine, visit: Visit) -> Batch:
    """The batch that the path names.

    Raises:
        WireError: there is none.
    """
    identity, shelf = visit.parameters["id"], engine.shelf(visit, _KIND)
    item = shelf.get(identity, visit.now)
    if item is not None:
        batch: Batch = item.body["batch"]
        return batch
    if engine.lenient and not shelf.was_deleted(identity):
        return Batch(identity, -_EXPIRY, _MADE_UP, ())
    raise WireError("not_found", f"No message batch has the id {identity!r}.")


def _reply(engine: Engine, visit: Visit, batch: Batch) -> None:
    engine.reply(visit, batch.view(visit.now, _results_url(visit, batch.id)))


def _results_url(visit: Visit, identity: str) -> str:
    host = visit.request.header("host")
    path = f"/v1/messages/batches/{identity}/results"
    return f"http://{host}{path}" if host else path


def _retrieve(engine: Engine, visit: Visit) -> None:
    _reply(engine, visit, _find(engine, visit))


def _list(engine: Engine, visit: Visit) -> None:
    rows, more = list_page(visit, engine.shelf(visit, _KIND), order="desc", lenient=engine.lenient)
    batches: list[Batch] = [row["batch"] for row in rows]
    views = [batch.view(visit.now, _results_url(visit, batch.id)) for batch in batches]
    engine.reply(visit, encode_page(views, more=more))


def _cancel(engine: Engine, visit: Visit) -> None:
    batch = _find(engine, visit)
    if batch.has_ended(visit.now) and not engine.lenient:
        raise WireError("invalid_request", f"Batch {batch.id} has ended: it cannot be canceled any more.")
    if batch.cancelled_at is None:
        batch.cancelled_at = visit.now
    _reply(engine, visit, batch)


def _delete(engine: Engine, visit: Visit) -> None:
    batch = _find(engine, visit)
    if not batch.has_ended(visit.now):
        message = f"Batch {batch.id} is still being processed: cancel it, and delete it when it has ended."
        raise WireError("invalid_request", message)
    shelf = engine.shelf(visit, _KIND)
    if shelf.get(batch.id, visit.now) is not None:  # what is made up is not remembered either
        shelf.delete(batch.id)
    engine.reply(visit, {"id": batch.id, "type": "message_batch_deleted"})


def _results(engine: Engine, visit: Visit) -> None:
    batch = _find(engine, visit)
    if not batch.has_ended(visit.now):
        message = f"Batch {batch.id} has no results yet: wait until its processing_status is 'ended'."
        raise WireError("not_found", message)
    visit.exchange.headers["content-type"] = "application/x-jsonl"
    engine.reply(visit, "".join(f"{compact(line)}\n" for line in batch.results()).encode())


_PATH = "/v1/messages/batches"
ROUTES = (
    Route("POST", _PATH, "batches", _create),
    Route("GET", _PATH, "batches", _list),
    Route("GET", f"{_PATH}/{{id}}", "batches", _retrieve),
    Route("DELETE", f"{_PATH}/{{id}}", "batches", _delete),
    Route("POST", f"{_PATH}/{{id}}/cancel", "batches", _cancel),
    Route("GET", f"{_PATH}/{{id}}/results", "batches", _results),
)

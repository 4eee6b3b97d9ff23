"""The simulator's own pages, beside the providers' APIs: ``/health``, ``/log`` and ``/metrics``.

All of them only read the log, which is the truth that a client's measurements are held against.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import parse_qsl

from workbench.simulator.exchange import Exchange
from workbench.simulator.line import Line
from workbench.simulator.log import RequestLog, RequestRecord
from workbench.simulator.metrics import CONTENT_TYPE, Metrics

__all__ = ["Page", "Pages"]

_LINES = 50  # of the log, in one piece: no reader may hold up the streams


@dataclass(frozen=True, slots=True)
class Page:
    """An answer; its pieces are made one by one."""

    status: int
    content_type: str
    pieces: Iterable[bytes]


class Pages:
    """The pages of what `line` leads to."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._metrics = Metrics()
        self._counted = 0  # exchanges that the metrics have seen, ended or not
        self._uncounted: list[Exchange] = []  # of those, the ones that were in flight
        self._pages: dict[str, Callable[[Mapping[str, str]], Page]] = {
            "/health": self._health,
            "/log": self._log,
            "/metrics": self._scrape,
        }

    def answer(self, method: str, path: str, query: str) -> Page | None:
        """The page at `path`; None if that is none of ours."""
        if (page := self._pages.get(path)) is None:
            return None
        if method not in ("GET", "HEAD"):
            return _error(405, f"{path} can only be read: GET it, not {method}.")
        try:
            return page(dict(parse_qsl(query, keep_blank_values=True)))
        except ValueError as error:
            return _error(400, str(error))

    def _health(self, query: Mapping[str, str]) -> Page:
        engine = self._line.engine
        return _json(200, {"status": "ok", "seed": engine.seed, "requests": len(engine.exchanges)})

    def _scrape(self, query: Mapping[str, str]) -> Page:
        exchanges, now = self._line.engine.exchanges, self._line.timeline.now()
        self._uncounted += exchanges[self._counted :]
        self._counted = len(exchanges)
        in_flight = {}
        for exchange in self._uncounted:
            record = exchange.record(now)
            if record.outcome == "in flight":
                in_flight[exchange] = record
            else:
                self._metrics.add(record)
        self._uncounted = list(in_flight)
        return Page(200, CONTENT_TYPE, [self._metrics.page(in_flight.values()).encode()])

    def _log(self, query: Mapping[str, str]) -> Page:
        """Records in the order of arrival, up to the first request that is still in flight."""
        if unknown := query.keys() - {"after", "limit", "in_flight"}:
            raise ValueError(f"/log has no parameter {min(unknown)!r}, but after, limit and in_flight.")
        if (in_flight := query.get("in_flight", "false")) not in ("true", "false"):
            raise ValueError(f"in_flight must be true or false, got {in_flight!r}.")
        after, limit = _number(query, "after", 0), _number(query, "limit", len(self._line.engine.exchanges))
        records = self._records(after, limit)
        kept = records if in_flight == "true" else _settled(records)
        return Page(200, "application/x-ndjson", _lines(kept))

    def _records(self, after: int, limit: int) -> Iterator[RequestRecord]:
        exchanges, timeline = self._line.engine.exchanges, self._line.timeline
        for index in range(after, min(after + limit, len(exchanges))):
            yield exchanges[index].record(timeline.now())


def _settled(records: Iterable[RequestRecord]) -> Iterator[RequestRecord]:
    for record in records:
        if record.outcome == "in flight":
            return
        yield record


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ValueError(f"{name} must be a whole number, 0 or more, got {text!r}.")
    return int(text)


def _lines(records: Iterator[RequestRecord]) -> Iterator[bytes]:
    while piece := list(islice(records, _LINES)):
        yield RequestLog(piece).to_jsonl().encode()


def _json(status: int, value: object) -> Page:
    return Page(status, "application/json", [json.dumps(value).encode() + b"\n"])


def _error(status: int, message: str) -> Page:
    return _json(status, {"error": {"message": message}})

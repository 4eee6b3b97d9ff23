"""What goes wrong with a request: outages, errors and broken connections, as the faults have it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from workbench.simulator.exchange import Breakage, Part
from workbench.simulator.models import Faults
from workbench.simulator.reception import Visit
from workbench.simulator.work import Work
from workbench.wire import sse
from workbench.wire.dialect import ErrorKind, WireError

__all__ = ["Broken", "check_outages", "fail", "spoil"]

_MESSAGES: dict[ErrorKind, str] = {
    "server_error": "The server had an error while processing your request. Sorry about that!",
    "overloaded": "The servers are currently overloaded. Please try again later.",
}


class Broken(Exception):
    """The connection breaks before there is an answer."""

    def __init__(self, breakage: Breakage) -> None:
        super().__init__(breakage.value)
        self.breakage = breakage


def _failure(kind: ErrorKind) -> WireError:
    return WireError(kind, _MESSAGES[kind])


def check_outages(faults: Faults, now: float) -> None:
    """Refuse what comes in one of the windows in which nothing is served."""
    for outage in faults.outages:
        if outage.start <= now < outage.end:
            if outage.kind == "refuse":
                raise Broken(Breakage.REFUSED)
            raise _failure(outage.kind)


def fail(faults: Faults, noise: random.Random) -> None:
    """Draw whether a request fails before it is served."""
    if noise.random() < faults.refuse_rate:
        raise Broken(Breakage.REFUSED)
    if noise.random() < faults.reset_rate:
        raise Broken(Breakage.RESET)
    if noise.random() < faults.error_rate:
        raise _failure("server_error")
    if noise.random() < faults.overload_rate:
        raise _failure("overloaded")


def spoil(visit: Visit, work: Work, parts: Iterable[tuple[float, bytes]]) -> Iterable[Part]:
    """The parts of a stream as they go out: it may break off, or go wrong."""
    exchange, faults = visit.exchange, work.faults
    if faults.first < math.inf:
        exchange.outcome, exchange.error = "broken", faults.name
        spoilt_at = exchange.place.start + work.schedule.offsets()[int(faults.first)]
        exchange.spoilt_offset = spoilt_at - exchange.start
    spoilt: Iterable[Part] = faults.spoil(parts, _stream_error(visit)) if faults else parts
    # A client's patience ends with nothing sent, thoughts or none.
    return ((offset, part) for offset, part in spoilt if part)


def _stream_error(visit: Visit) -> bytes:
    """What an overloaded server says when the head of the answer has long been sent."""
    dialect = visit.dialect
    _, body = dialect.encode_error(_failure("overloaded"), visit.exchange.request_id)
    return sse.encode(body.decode(), dialect.error_event)

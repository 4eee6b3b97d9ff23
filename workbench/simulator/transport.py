"""httpx2 transports into the simulator: the drivers that wait for what the engine has decided.

The async transport awaits the event loop's timers.  The sync one blocks: in virtual time that advances the
clock, in a worker thread it lets the loop go on, as a real connection would.  Either enforces the client's
read timeout, which httpx2 leaves to its transports.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Literal

import httpx2

from workbench.clock import Alarm, Timeline, date, now, sleep
from workbench.simulator.engine import Engine
from workbench.simulator.exchange import Breakage, Exchange
from workbench.simulator.reception import HttpRequest

__all__ = ["AsyncTransport", "Line", "SyncTransport"]

_SLACK = 1e-9  # seconds: two readings of a float clock that close are one instant
_ERRORS: dict[Breakage, type[httpx2.TransportError]] = {
    Breakage.REFUSED: httpx2.ConnectError,
    Breakage.RESET: httpx2.ReadError,
    Breakage.DISCONNECTED: httpx2.RemoteProtocolError,
}


class Line:
    """The way to one engine: its timeline, and a lock, since clients may sit in several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.timeline = Timeline()
        self.lock = threading.RLock()  # a script may read the log
        self.waiting: dict[int, Callable[[], object]] = {}  # by exchange number: how to wake who waits

    def receive(
        self, provider: Literal["openai", "anthropic"], request: httpx2.Request, body: bytes
    ) -> Delivery:
        """Hand a request to the engine."""
        url = request.url
        wire = HttpRequest(request.method, url.path, request.headers.get, body, url.query.decode())
        with self.lock:
            at = self.timeline.now()
            exchange = self.engine.receive(provider, wire, at, date())
            self._wake(exchange.moved_up)
        return Delivery(self, exchange, request)

    def cancel(self, exchange: Exchange) -> None:
        """Tell the engine that a client has given up, and those that wait behind it."""
        with self.lock:
            self._wake(self.engine.cancel(exchange, self.timeline.now()))

    def _wake(self, moved_up: Iterable[Exchange]) -> None:
        for exchange in moved_up:
            if wake := self.waiting.pop(exchange.number, None):
                wake()


class Delivery:
    """One exchange on its way to a client, and how long that waits for the next bytes."""

    def __init__(self, line: Line, exchange: Exchange, request: httpx2.Request) -> None:
        self.line, self.exchange, self.request = line, exchange, request
        timeout = request.extensions.get("timeout", {}).get("read")
        self.read_timeout = math.inf if timeout is None else float(timeout)
        self._deadline = line.timeline.now() + self.read_timeout

    def head_in(self) -> float:
        """Seconds until the head comes, or until the client's patience ends.

        Raises:
            httpx2.ReadTimeout: it has ended.
        """
        now = self.line.timeline.now()
        wait = self.exchange.start + self.exchange.head_offset - now
        if wait <= _SLACK:
            return 0.0
        if now >= self._deadline - _SLACK:
            raise self.timeout()
        return min(wait, self._deadline - now)

    def timeout(self) -> httpx2.ReadTimeout:
        """The error of a client that has waited too long."""
        message = f"the simulated provider sent nothing for {self.read_timeout:g} s"
        return httpx2.ReadTimeout(message, request=self.request)

    def whole(self) -> bytes:
        """The whole body of an answer that does not stream."""
        self.exchange.delivered = True
        ((_, part),) = self.exchange.parts
        return self.check(part)

    def check(self, part: bytes | Breakage) -> bytes:
        """Bytes as they are; where the connection breaks instead, its error is raised."""
        if isinstance(part, Breakage):
            raise _ERRORS[part](part.value, request=self.request)
        return part

    def start(self, now: float) -> float:
        """When the service began, by a clock that reads `now`: from then on a stream's times are fixed."""
        return self.exchange.start + now - self.line.timeline.now()

    def response(self, body: httpx2.AsyncByteStream | httpx2.SyncByteStream) -> httpx2.Response:
        """The response."""
        exchange = self.exchange
        assert exchange.status is not None, "a connection that breaks has raised instead"
        return httpx2.Response(exchange.status, headers=exchange.headers, stream=body)

    def close(self) -> None:
        """The client needs no more; if anything is outstanding, it has given up."""
        if not self.exchange.delivered:
            self.line.cancel(self.exchange)
        self.exchange.parts = ()  # the log keeps the exchange, but not its bytes


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    async def __aiter__(self) -> AsyncIterator[bytes]:
        delivery, loop = self._delivery, asyncio.get_running_loop()
        patience, clock = delivery.read_timeout, loop.time
        start = delivery.start(clock())
        for offset, part in delivery.exchange.parts:
            if (wait := start + offset - clock()) > _SLACK:
                # asyncio.sleep() costs twice as much, and this is for each token.
                woken = loop.create_future()
                timer = loop.call_later(min(wait, patience), _wake, woken)
                try:
                    await woken
                except BaseException:
                    timer.cancel()
                    raise
                if wait > patience:
                    raise delivery.timeout()
            yield part if isinstance(part, bytes) else delivery.check(part)
        delivery.exchange.delivered = True

    async def aclose(self) -> None:
        self._delivery.close()


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


class AsyncTransport(httpx2.AsyncBaseTransport):
    """The transport of an ``httpx2.AsyncClient``; `provider` says which API it reaches."""

    def __init__(self, line: Line, provider: Literal["openai", "anthropic"]) -> None:
        self._line, self._provider = line, provider

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request; the body follows as its parts are due."""
        delivery = self._line.receive(self._provider, request, await request.aread())
        try:
            while wait := delivery.head_in():
                if delivery.exchange.start > self._line.timeline.now() + _SLACK:
                    await _queue(delivery)
                else:
                    await asyncio.sleep(wait)
            if delivery.exchange.streams:
                return delivery.response(_AsyncBody(delivery))
            response = delivery.response(httpx2.ByteStream(delivery.whole()))
        except BaseException:  # cancelled, timed out, or the connection broke
            delivery.close()
            raise
        delivery.close()
        return response


async def _queue(delivery: Delivery) -> None:
    """Wait until the head is due, or the queue has moved up, or the client's patience ends."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    waiting, number = delivery.line.waiting, delivery.exchange.number
    waiting[number] = lambda: loop.call_soon_threadsafe(changed.set)
    timer = loop.call_later(delivery.head_in(), changed.set)  # another thread may just have moved it up
    try:
        await changed.wait()
    finally:
        timer.cancel()
        waiting.pop(number, None)


class _SyncBody(httpx2.SyncByteStream):
    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def __iter__(self) -> Iterator[bytes]:
        delivery = self._delivery
        patience = delivery.read_timeout
        start = delivery.start(now())
        for offset, part in delivery.exchange.parts:
            if (wait := start + offset - now()) > _SLACK:
                sleep(min(wait, patience))
                if wait > patience:
                    raise delivery.timeout()
            yield delivery.check(part)
        delivery.exchange.delivered = True

    def close(self) -> None:
        self._delivery.close()


class SyncTransport(httpx2.BaseTransport):
    """The transport of an ``httpx2.Client``; `provider` says which API it reaches."""

    def __init__(self, line: Line, provider: Literal["openai", "anthropic"]) -> None:
        self._line, self._provider = line, provider

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request; the body follows as its parts are due."""
        delivery = self._line.receive(self._provider, request, request.read())
        alarm, waiting, number = Alarm(), self._line.waiting, delivery.exchange.number
        try:
            waiting[number] = alarm.ring
            while wait := delivery.head_in():
                alarm.sleep(wait)
                waiting[number] = alarm.ring
            if delivery.exchange.streams:
                return delivery.response(_SyncBody(delivery))
            response = delivery.response(httpx2.ByteStream(delivery.whole()))
        except BaseException:  # interrupted, timed out, or the connection broke
            delivery.close()
            raise
        finally:
            waiting.pop(number, None)
        delivery.close()
        return response

"""httpx2 transports into the simulator: the drivers that wait for what the engine has decided.

The async transport awaits the event loop's timers.  The sync one blocks: in virtual time that advances the
clock, in a worker thread it lets the loop go on, as a real connection would.  Either enforces the client's
read timeout, which httpx2 leaves to its transports.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import httpx2

from workbench.clock import Alarm, now, sleep
from workbench.simulator.exchange import Breakage
from workbench.simulator.line import Delivery, Line, head_due, pause
from workbench.simulator.reception import HttpRequest
from workbench.simulator.slots import SLACK

__all__ = ["AsyncTransport", "SyncTransport"]

_ERRORS: dict[Breakage, type[httpx2.TransportError]] = {
    Breakage.REFUSED: httpx2.ConnectError,
    Breakage.RESET: httpx2.ReadError,
    Breakage.DISCONNECTED: httpx2.RemoteProtocolError,
}


def _receive(
    line: Line, provider: Literal["openai", "anthropic"], request: httpx2.Request, body: bytes
) -> Delivery:
    url = request.url
    wire = HttpRequest(request.method, url.path, request.headers.get, body, url.query.decode())
    timeout = request.extensions.get("timeout", {}).get("read")
    return line.receive(provider, wire, math.inf if timeout is None else float(timeout))


def _timeout(delivery: Delivery, request: httpx2.Request) -> httpx2.ReadTimeout:
    message = f"the simulated provider sent nothing for {delivery.patience:g} s"
    return httpx2.ReadTimeout(message, request=request)


def _check(part: bytes | Breakage, request: httpx2.Request) -> bytes:
    """Bytes as they are; where the connection breaks instead, its error is raised."""
    if isinstance(part, Breakage):
        raise _ERRORS[part](part.value, request=request)
    return part


def _response(delivery: Delivery, body: httpx2.AsyncByteStream | httpx2.SyncByteStream) -> httpx2.Response:
    """An answer that is still to be read, also a whole one: transports around this one may listen in."""
    exchange = delivery.exchange
    assert exchange.status is not None, "a connection that breaks has raised instead"
    return httpx2.Response(exchange.status, headers=exchange.headers, stream=body)


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, delivery: Delivery, request: httpx2.Request) -> None:
        self._delivery, self._request = delivery, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        delivery, clock = self._delivery, asyncio.get_running_loop().time
        patience, start = delivery.patience, delivery.start(clock())
        for offset, part in delivery.exchange.parts:
            if (wait := start + offset - clock()) > SLACK:
                await pause(min(wait, patience))
                if wait > patience:
                    raise _timeout(delivery, self._request)
            yield part if isinstance(part, bytes) else _check(part, self._request)
        delivery.exchange.delivered = True

    async def aclose(self) -> None:
        self._delivery.close()


class AsyncTransport(httpx2.AsyncBaseTransport):
    """The transport of an ``httpx2.AsyncClient``; `provider` says which API it reaches."""

    def __init__(self, line: Line, provider: Literal["openai", "anthropic"]) -> None:
        self._line, self._provider = line, provider

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request; the body follows as its parts are due."""
        delivery = _receive(self._line, self._provider, request, await request.aread())
        try:
            await head_due(delivery)
            if delivery.exchange.streams:
                return _response(delivery, _AsyncBody(delivery, request))
            response = _response(delivery, httpx2.ByteStream(_check(delivery.whole(), request)))
        except TimeoutError:
            delivery.close()
            raise _timeout(delivery, request) from None
        except BaseException:  # cancelled, or the connection broke
            delivery.close()
            raise
        delivery.close()
        return response


class _SyncBody(httpx2.SyncByteStream):
    def __init__(self, delivery: Delivery, request: httpx2.Request) -> None:
        self._delivery, self._request = delivery, request

    def __iter__(self) -> Iterator[bytes]:
        delivery = self._delivery
        patience, start = delivery.patience, delivery.start(now())
        for offset, part in delivery.exchange.parts:
            if (wait := start + offset - now()) > SLACK:
                sleep(min(wait, patience))
                if wait > patience:
                    raise _timeout(delivery, self._request)
            yield _check(part, self._request)
        delivery.exchange.delivered = True

    def close(self) -> None:
        self._delivery.close()


class SyncTransport(httpx2.BaseTransport):
    """The transport of an ``httpx2.Client``; `provider` says which API it reaches."""

    def __init__(self, line: Line, provider: Literal["openai", "anthropic"]) -> None:
        self._line, self._provider = line, provider

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request; the body follows as its parts are due."""
        delivery = _receive(self._line, self._provider, request, request.read())
        alarm, waiting, number = Alarm(), self._line.waiting, delivery.exchange.number
        try:
            waiting[number] = alarm.ring
            while wait := delivery.head_in():
                alarm.sleep(wait)
                waiting[number] = alarm.ring
            if delivery.exchange.streams:
                return _response(delivery, _SyncBody(delivery, request))
            response = _response(delivery, httpx2.ByteStream(_check(delivery.whole(), request)))
        except TimeoutError:
            delivery.close()
            raise _timeout(delivery, request) from None
        except BaseException:  # interrupted, or the connection broke
            delivery.close()
            raise
        finally:
            waiting.pop(number, None)
        delivery.close()
        return response

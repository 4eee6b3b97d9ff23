"""The simulator as an ASGI application: the driver that speaks HTTP.

Both APIs are behind one port, as are the simulator's own pages (:mod:`workbench.simulator.pages`).  What is
due is sent at its instant, token by token; a client that goes is a client that has given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from workbench.simulator.exchange import Breakage
from workbench.simulator.line import Delivery, Line, head_due, pause
from workbench.simulator.pages import Page, Pages
from workbench.simulator.reception import HttpRequest
from workbench.simulator.slots import SLACK

__all__ = ["CUT", "AsgiApp"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CUT = "workbench.cut"
"""The ASGI extension by which a connection breaks as the faults say; its ``cut`` takes ``reset``, a bool.

Under a server without it the application raises, and the server does what it does with such a one.
"""
_BODY_SECONDS = 60.0  # for which a request that has begun may stand still
_PIECE_BYTES = 16_384  # of a stream that is late; what is due together is sent together, up to this
_FAREWELL_SECONDS = 1.0  # for which a refused body is read on, so that its sender sees why


class AsgiApp:
    """Serves what `line` leads to."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._pages = Pages(line)
        self._answering: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's scope, as ASGI has it."""
        if scope["type"] == "http":
            query = scope["query_string"].decode("latin-1")
            if page := self._pages.answer(scope["method"], scope["path"], query):
                await _show(page, send)
            else:
                await self._serve(scope, query, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})  # no model here is spoken to that way

    def close(self) -> None:
        """Break off the answers that are under way."""
        self._closed = True
        for task in self._answering:
            task.cancel()

    async def _serve(self, scope: Scope, query: str, receive: Receive, send: Send) -> None:
        """Let the engine answer a request."""
        headers: dict[bytes, bytes] = dict(scope["headers"])

        def header(name: str) -> str | None:
            value = headers.get(name.encode())
            return None if value is None else value.decode("latin-1")

        limit, body = self._line.engine.max_body_bytes, b""
        announced = headers.get(b"content-length", b"")
        size = int(announced) if announced.isdigit() else 0
        if size <= limit:
            try:
                read = await _read(receive, limit)
            except TimeoutError:
                return await _cut(Breakage.DISCONNECTED, scope, receive)
            if read is None:
                return
            body, size = read, len(read)
        path = scope["path"]
        request = HttpRequest(scope["method"], path, header, body, query, announced_bytes=size)
        delivery = self._line.receive(provider_of(path, headers), request)
        if size <= limit:
            await self._deliver(delivery, scope, receive, send)
        else:
            await _refuse(delivery, scope, receive, send)

    async def _deliver(self, delivery: Delivery, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, to the end or to where the connection breaks."""
        try:
            if delivery.exchange.streams or delivery.head_in():
                broken = await self._watch(_answer(delivery, send), receive)
            else:  # it is due as a whole: nobody can go before
                broken = await _answer_whole(delivery, send)
        finally:
            delivery.close()
        if broken is not None:
            await _cut(broken, scope, receive)

    async def _watch(self, answer: Coroutine[Any, Any, Breakage | None], receive: Receive) -> Breakage | None:
        """Answer, unless the client goes or the server ends before."""
        task = asyncio.current_task()
        assert task is not None, "ASGI servers run an application in a task"
        gone = asyncio.ensure_future(_disconnect(receive))
        leave = lambda _: task.cancel()  # noqa: E731 - it is removed again below
        gone.add_done_callback(leave)
        self._answering.add(task)
        try:
            return await answer
        except asyncio.CancelledError:
            if not (gone.done() or self._closed):
                raise
            task.uncancel()
            return Breakage.DISCONNECTED
        finally:
            gone.remove_done_callback(leave)
            gone.cancel()
            self._answering.discard(task)


def provider_of(path: str, headers: Mapping[bytes, bytes]) -> str:
    """Whose API a request means: both have ``/v1/models``; only Anthropic's clients send these headers."""
    ours = path.startswith("/v1/messages") or headers.get(b"anthropic-version") or headers.get(b"x-api-key")
    return "anthropic" if ours else "openai"


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The body, or as much of it as shows that it is above `limit`; None if the client goes before.

    Raises:
        TimeoutError: it stands still.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        whole: bytes = message.get("body", b"")
        return whole
    read = bytearray()
    while message["type"] == "http.request":
        read += message.get("body", b"")
        if not message.get("more_body") or len(read) > limit:
            return bytes(read)
        async with asyncio.timeout(_BODY_SECONDS):
            message = await receive()
    return None


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(delivery: Delivery, send: Send) -> Breakage | None:
    """Send the answer as it comes due, to its end or to where the connection breaks."""
    await head_due(delivery)
    exchange = delivery.exchange
    if not exchange.streams:
        return await _answer_whole(delivery, send)
    await send(_head(exchange.status, exchange.headers))
    return await _stream(delivery, send)


async def _answer_whole(delivery: Delivery, send: Send) -> Breakage | None:
    part = delivery.whole()
    if isinstance(part, Breakage):
        return part
    await send(_head(delivery.exchange.status, delivery.exchange.headers, len(part)))
    await send({"type": "http.response.body", "body": part})
    return None


async def _refuse(delivery: Delivery, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body is too large to be read, and close the connection."""
    await head_due(delivery)
    part = delivery.whole()
    if isinstance(part, Breakage):
        return await _cut(part, scope, receive)
    headers = {**delivery.exchange.headers, "connection": "close"}
    await send(_head(delivery.exchange.status, headers, len(part)))
    await send({"type": "http.response.body", "body": part, "more_body": True})
    with suppress(TimeoutError):  # a client that is still sending would not see why the connection is closed
        async with asyncio.timeout(_FAREWELL_SECONDS):
            await _disconnect(receive)
    await send({"type": "http.response.body"})


async def _stream(delivery: Delivery, send: Send) -> Breakage | None:
    clock = asyncio.get_running_loop().time
    start = delivery.start(now := clock())
    due = bytearray()
    for offset, part in delivery.exchange.parts:
        if start + offset > now + SLACK:
            if due:
                await send({"type": "http.response.body", "body": bytes(due), "more_body": True})
                due.clear()
            if (wait := start + offset - clock()) > SLACK:
                await pause(wait)
            now = clock()
        if isinstance(part, Breakage):
            return part
        due += part
        if len(due) > _PIECE_BYTES:
            await send({"type": "http.response.body", "body": bytes(due), "more_body": True})
            due.clear()
    delivery.exchange.delivered = True
    await send({"type": "http.response.body", "body": bytes(due)})
    return None


def _head(status: int | None, headers: dict[str, str], size: int | None = None) -> Message:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    if size is not None:
        raw.append((b"content-length", b"%d" % size))
    return {"type": "http.response.start", "status": status, "headers": raw}


async def _show(page: Page, send: Send) -> None:
    await send(_head(page.status, {"content-type": page.content_type}))
    for piece in page.pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0)  # others are served between two pieces
    await send({"type": "http.response.body"})


async def _lifespan(receive: Receive, send: Send) -> None:
    for step in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{step}.complete"})


async def _cut(broken: Breakage, scope: Scope, receive: Receive) -> None:
    """Break the connection, and wait until it is gone."""
    extension = (scope.get("extensions") or {}).get(CUT)
    if extension is None:
        raise ConnectionAbortedError(broken.value)
    extension["cut"](reset=broken is not Breakage.DISCONNECTED)
    await _disconnect(receive)

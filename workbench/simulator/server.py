"""A simulator on a port of this machine: uvicorn's HTTP, and what a provider that misbehaves needs besides.

A real connection can be reset in mid-stream, which ASGI has no word for; and an unfriendly client must cost
no memory, so a head has a limit of size and of time.  Nothing is left behind: when the server ends, so do
its connections and tasks.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
import struct
import time
from asyncio import base_events
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any, Protocol

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from workbench.clock import virtual_loop
from workbench.errors import ConfigurationError
from workbench.simulator.asgi import CUT
from workbench.tokens import count

__all__ = ["HOST", "serve"]

HOST = "127.0.0.1"
_IDLE_SECONDS = 75  # longer than clients keep an idle connection: they must not find it closed
_HEAD_SECONDS = 30.0  # for which a request's head may stand still
_MAX_HEAD_BYTES = 512 * 1024
_STEP_BYTES = 65_536  # that are kept until the step's end
_GRACE_SECONDS = 1.0  # for which an answer that is broken off may take to end
_RESET = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)  # linger for no time: close() sends RST


class Application(Protocol):
    """An ASGI application that can end by itself."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection's scope."""

    def close(self) -> None:
        """Break off the answers that are under way."""


@asynccontextmanager
async def serve(
    app: Application, port: int = 0, *, kernel_bytes: int | None = None, **options: Any
) -> AsyncIterator[str]:
    """Serve `app` on the loopback interface, in the running loop.

    Args:
        app: what to serve.
        port: to listen on; 0: any free one.
        kernel_bytes: of an answer, for the system to keep for a slow client; None: as much as it likes.
        options: of uvicorn's configuration.

    Yields:
        the URL, without a slash at its end.

    Raises:
        ConfigurationError: the port is not to be had, or the loop's time is virtual.
    """
    if virtual_loop() is not None:
        raise ConfigurationError(
            "a server needs the wall clock: sockets do not wait in virtual time. Use "
            "workbench.run(main, virtual=False), or the simulator's own clients, which need no server"
        )
    loop, state = asyncio.get_running_loop(), ServerState()
    defaults = {"ws": "none", "lifespan": "off", "log_config": None, "access_log": False}
    config = uvicorn.Config(
        app, proxy_headers=False, timeout_keep_alive=_IDLE_SECONDS, **{**defaults, **options}
    )
    config.load()
    count("it's 12 — 漢字")  # the first of each kind takes long, and no client should wait for that
    listener = await _listen(loop, functools.partial(_Connection, config, state, {}, loop), port)
    if kernel_bytes is not None:  # connections inherit it
        listener.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_bytes)
    try:
        yield f"http://{HOST}:{listener.sockets[0].getsockname()[1]}"
    finally:
        await _end(app, listener, state)


async def _listen(loop: asyncio.AbstractEventLoop, protocol: Any, port: int) -> base_events.Server:
    try:
        return await loop.create_server(protocol, HOST, port, backlog=2048)
    except OverflowError:
        raise ConfigurationError(f"a port is a number from 0 to 65535, got {port!r}") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} is in use: end what listens there, or choose another (0: any free one)"
        else:
            reason = f"cannot listen on port {port}: {error.strerror}"
        raise ConfigurationError(reason) from error


async def _end(app: Application, listener: base_events.Server, state: ServerState) -> None:
    """Break off what is under way, and wait until all is gone."""
    listener.close()
    app.close()
    for connection in list(state.connections):
        connection.shutdown()
    if state.tasks:
        await asyncio.wait(state.tasks, timeout=_GRACE_SECONDS)
    for connection in list(state.connections):
        connection.transport.abort()
    while state.connections or state.tasks:  # noqa: ASYNC110 - a few turns of the loop, and all is gone
        await asyncio.sleep(0)
    await listener.wait_closed()


class _Connection(HttpToolsProtocol):
    """HTTP/1.1 by uvicorn; it can be cut, and does not wait for ever for a head, nor keep one of any size."""

    _head_bytes = 0
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joined(transport, self.loop))  # type: ignore[arg-type]
        self._expect(_IDLE_SECONDS)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._head_bytes = self._head_bytes + len(data) if self._in_head else 0
        if self._head_bytes > _MAX_HEAD_BYTES:
            self.send_400_response("The request's head is too large.")
        elif self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # None at first
            self._expect(_HEAD_SECONDS)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self.scope["extensions"] = {CUT: {"cut": self._cut}}

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.server_state.default_headers = _date(int(time.time()))
        super().on_headers_complete()

    def _expect(self, seconds: float) -> None:
        """Close the connection if nothing comes for so long."""
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _cut(self, *, reset: bool) -> None:
        if reset:
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()


@functools.lru_cache(maxsize=1)
def _date(seconds: int) -> list[tuple[bytes, bytes]]:
    return [(b"date", formatdate(seconds, usegmt=True).encode())]


class _Joined:
    """A transport that sends in one piece what is written in one step: head and body, mostly.

    A system call costs more than all the rest of a short answer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._written = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._flush)
        self._written += data
        if len(self._written) > _STEP_BYTES:
            self._flush()

    def _flush(self) -> None:
        written, self._written = self._written, b""
        if written:
            self._transport.write(written)

    def close(self) -> None:
        self._flush()
        self._transport.close()

"""The relay on a port of this machine, in the running event loop: no thread, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

from workbench.clock import virtual_loop
from workbench.errors import ConfigurationError
from workbench.providers import Provider, default_provider
from workbench.relay.app import create_app

__all__ = ["serve_relay"]

_HOST = "127.0.0.1"
_GRACE_SECONDS = 1  # for which a connection may take to end
_KERNEL_BYTES = 65_536  # of a connection's data that the system keeps: a slow client is to be felt soon


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to whoever runs the loop, such as a notebook's kernel."""
        yield


@contextlib.asynccontextmanager
async def serve_relay(
    provider: Provider | None = None, *, model: str = "gpt-5.5", port: int = 0, **options: Any
) -> AsyncIterator[str]:
    """Serve a relay on the loopback interface; when the block is left, streams end and the port is free.

        async with wb.serve_relay(provider, model="gpt-5.5") as url:
            …

    Args:
        provider: whose stream is passed on; None: :func:`workbench.default_provider`.
        model: the model that is asked.
        port: to listen on; 0: any free one.
        options: as for :func:`~workbench.relay.create_app`.

    Yields:
        the URL of the page, without a slash at its end.

    Raises:
        ConfigurationError: the port is not to be had, or the loop's time is virtual.
    """
    if virtual_loop() is not None:
        raise ConfigurationError(
            "a server needs the wall clock: sockets do not wait in virtual time. Use a cell without "
            "%%virtual, or workbench.run(main, virtual=False)"
        )
    app = create_app(provider or default_provider(), model=model, **options)
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",  # it waits for a slow client; "websockets" is deprecated
        ws_max_size=2 * app.state.relay.max_request_bytes,  # so that a question that is too long is told so
        ws_per_message_deflate=False,  # tokens are too short to gain, and each connection would keep a window
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    listener = _listen(port)
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        while not (server.started or serving.done()):  # noqa: ASYNC110 - a turn or two of the loop
            await asyncio.sleep(0)
        yield f"http://{_HOST}:{listener.getsockname()[1]}"
    finally:
        app.state.relay.closing.set()
        server.should_exit = True
        await serving
        for connection in list(server.server_state.connections):  # of clients that take nothing
            connection.transport.abort()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)  # connections inherit it
        listener.bind((_HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on port {port!r} ({error}); 0 takes any free one") from error
    return listener

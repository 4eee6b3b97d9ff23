"""The relay on a port of this machine, in the running event loop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from workbench.providers import Provider, default_provider
from workbench.relay.app import Relay
from workbench.simulator.server import serve

__all__ = ["serve_relay"]

_KERNEL_BYTES = 65_536  # of a connection's data that the system keeps: a slow client is to be felt soon


@contextlib.asynccontextmanager
async def serve_relay(
    provider: Provider | None = None, *, model: str = "gpt-5.5", port: int = 0, **options: Any
) -> AsyncIterator[str]:
    """Serve a relay on the loopback interface; when the block is left, its streams end and the port is free.

        async with wb.serve_relay(provider, model="gpt-5.5") as url:
            …

    Args:
        provider: whose stream is passed on; None: :func:`workbench.default_provider`.
        model: the model that is asked.
        port: to listen on; 0: any free one.
        options: as for :class:`~workbench.relay.Relay`.

    Yields:
        the URL of the page, without a slash at its end.

    Raises:
        ConfigurationError: the port is not to be had, or the loop's time is virtual.
    """
    relay = Relay(provider or default_provider(), model=model, **options)
    serving = serve(
        relay,
        port,
        kernel_bytes=_KERNEL_BYTES,
        ws="websockets-sansio",  # it waits for a slow client
        ws_max_size=2 * relay.max_request_bytes,  # so that a question that is too long is told so
        ws_per_message_deflate=False,  # tokens are too short to gain, and each connection would keep a window
    )
    async with serving as url:
        yield url

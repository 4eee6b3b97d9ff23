"""Events pass through the relay one at a time, until somebody leaves.

Rule of this file: nothing is read ahead.  The provider is asked for the next event when the client's
connection has taken the last one, so that a slow client slows its stream down and costs no memory; and when
the client is gone, or the relay ends, the provider's stream is closed before anything else happens.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from workbench.errors import ProviderError
from workbench.events import Event
from workbench.streams import Metered

__all__ = ["pass_on"]

_log = logging.getLogger("workbench")
Receive = Callable[[], Awaitable[Any]]


async def pass_on(
    stream: AsyncIterator[Event],
    send: Callable[[str], Awaitable[None]],
    receive: Receive,
    closing: asyncio.Event,
    *,
    patience: float,
) -> None:
    """Pass a stream on, as JSON: until its end, or the client leaves, or the relay closes.

    Args:
        stream: a provider's.
        send: hands a message to the client's connection, and returns when that can take another.
        receive: gives the messages of ASGI, of which the last one says that the client is gone.
        closing: is set when the relay ends.
        patience: seconds for which a client may take nothing.
    """

    async def passing() -> None:
        async with aclosing(_messages(stream)) as messages:
            async for message in messages:
                async with asyncio.timeout(patience):
                    await send(message)

    try:
        await _first_of(passing(), _gone(receive), closing.wait())
    except TimeoutError:
        _log.warning("a client took nothing for %g s: its stream is given up", patience)


async def _messages(stream: AsyncIterator[Event]) -> AsyncGenerator[str, None]:
    """What the client gets: each event, and as the last one the error, if that ended the stream."""
    async with Metered(stream) as events:
        try:
            async for event in events:
                yield event.model_dump_json()
        except ProviderError as error:
            _log.warning("a relayed stream failed: %s: %s", type(error).__name__, error)
            yield _failure(error)


def _failure(error: ProviderError) -> str:
    """What a browser may know of an error: its kind, in our words; a provider's may hold parts of a key."""
    kind = type(error)
    said = (kind.__doc__ or "").partition("\n")[0]
    return json.dumps(
        {
            "type": "error",
            "error": kind.__name__,
            "message": said,
            "retryable": kind.retryable,
            "retry_after": error.retry_after,
        }
    )


async def _gone(receive: Receive) -> None:
    """Wait until the client is gone; what it says until then is nothing that anybody waits for."""
    while not (await receive())["type"].endswith(".disconnect"):
        pass


async def _first_of(*ways: Coroutine[Any, Any, object]) -> None:
    """Run all at once until one has ended, and then end the others."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end

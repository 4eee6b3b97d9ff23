"""Replaying: a transport that answers as it was recorded, when it was recorded, and never sends anything.

Everything that a replay decides, it decides in `Playback`; the drivers only wait, and hand on.  The client's
read timeout is enforced here, since httpx2 leaves it to its transports.
"""

from __future__ import annotations

import asyncio
import functools
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import httpx2

from workbench.cassettes.exchange import COMPLETE, LEFT, Exchange, error_class
from workbench.clock import now, sleep
from workbench.errors import MissingRecordingError

__all__ = ["ReplayTransport", "missing"]

_SLACK = 1e-9  # seconds: two readings of a float clock that close are one instant
_GRACE = 1.0  # seconds for which a client that once left may stay longer, this time, than it did
_BEFORE_READING = (  # what a read timeout has no part in
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.LocalProtocolError,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.WriteError,
    httpx2.WriteTimeout,
)

Step = tuple[float, bytes | Exception]


def missing(message: str) -> MissingRecordingError:
    """The error, in a form that no SDK hides.

    Anthropic's client wraps and retries whatever a transport raises, except its own kind.
    """
    kind = getattr(sys.modules.get("anthropic"), "AnthropicError", None)
    return (MissingRecordingError if kind is None else _shown_by(kind))(message)


@functools.cache
def _shown_by(kind: type[Exception]) -> type[MissingRecordingError]:
    name = MissingRecordingError.__name__
    return type(name, (MissingRecordingError, kind), {"__module__": MissingRecordingError.__module__})


class Playback:
    """One exchange once more, to a client that waits for it."""

    def __init__(self, exchange: Exchange, request: httpx2.Request, *, paced: bool) -> None:
        self._exchange, self._request, self._paced = exchange, request, paced
        patience = request.extensions.get("timeout", {}).get("read")
        self._patience = math.inf if patience is None else float(patience)
        self._start = now()
        self.steps = self._steps()  # one for all who read: a second reader goes on where the first was

    def head(self) -> Step:
        """What comes first: a head, or an error in its place."""
        response = self._exchange.response
        return (response.at, b"") if response else next(self.steps)

    def _steps(self) -> Iterator[Step]:
        """The body: what comes, and when."""
        response, end = self._exchange.response, self._exchange.end
        for part in response.parts if response else ():
            yield part.at, part.body
        if end.how == COMPLETE:
            yield end.at, b""
        elif end.how == LEFT:
            yield end.at + _GRACE, self._unknown()
        else:
            kind = error_class(end.how)
            assert kind, "an ending is one of these three"
            yield end.at, kind(end.message, request=self._request)

    def _unknown(self) -> MissingRecordingError:
        what, end = self._exchange.request, self._exchange.end
        paced = "" if self._paced else '; if it should be timed out again, use pace="recorded"'
        return missing(
            f"the recording of {what.method} {what.url} ends after {end.at:g} s, where the client left it "
            f"({end.message}): what followed is unknown{paced}"
        )

    def wait(self, step: Step) -> tuple[float, bytes | Exception]:
        """Seconds that the client waits for a step, and what it gets then."""
        at, what = step
        left = self._start + at - now() if self._paced else 0.0
        if left > self._patience + _SLACK and not isinstance(what, _BEFORE_READING):
            return self._patience, what if isinstance(what, httpx2.ReadTimeout) else self._timeout()
        return left if left > _SLACK else 0.0, what

    def _timeout(self) -> httpx2.ReadTimeout:
        message = f"the recorded answer sent nothing for {self._patience:g} s"
        return httpx2.ReadTimeout(message, request=self._request)

    def response(self) -> httpx2.Response:
        """The head, and the body to come."""
        response = self._exchange.response
        assert response is not None, "an error in the place of the head has been raised"
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()
        ]
        return httpx2.Response(response.status, headers=headers, stream=_Body(self))


def _next(playback: Playback, step: Step) -> bytes:
    seconds, what = playback.wait(step)
    if seconds:
        sleep(seconds)
    if isinstance(what, Exception):
        raise what
    return what


async def _anext(playback: Playback, step: Step) -> bytes:
    seconds, what = playback.wait(step)
    if seconds:
        await asyncio.sleep(seconds)
    if isinstance(what, Exception):
        raise what
    return what


class _Body(httpx2.AsyncByteStream, httpx2.SyncByteStream):
    def __init__(self, playback: Playback) -> None:
        self._playback = playback

    def __iter__(self) -> Iterator[bytes]:
        for step in self._playback.steps:
            if body := _next(self._playback, step):
                yield body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._playback.steps:
            if body := await _anext(self._playback, step):
                yield body


class ReplayTransport(httpx2.AsyncBaseTransport, httpx2.BaseTransport):
    """Answers sync and async clients alike; `find` gives the recording of a request."""

    def __init__(self, find: Callable[[httpx2.Request, bytes], Exchange], *, paced: bool) -> None:
        self._find, self._paced = find, paced

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        playback = Playback(self._find(request, request.read()), request, paced=self._paced)
        _next(playback, playback.head())
        return playback.response()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        playback = Playback(self._find(request, await request.aread()), request, paced=self._paced)
        await _anext(playback, playback.head())
        return playback.response()

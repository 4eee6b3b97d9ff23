"""The relay's ASGI application: who may ask, what is asked, and how the answer is framed.

Both transports carry the same messages, one JSON object each: our events (:data:`workbench.events.Event`),
and ``{"type": "error", …}`` where the stream failed.  A stream whose last message is neither "finished" nor
an "error" has broken off on its way.

A browser runs the code of whatever page it shows, so a server on this machine is within any page's reach, and
each answer costs money.  What keeps other pages out: the ``Host`` must be this machine (and no name that
somebody's DNS points here), and an ``Origin`` must be the page's own (neither a form nor a WebSocket asks a
server before it sends).  There are no cookies that could be abused besides.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from workbench.messages import Message, Request
from workbench.providers import Provider
from workbench.relay.passing import pass_on
from workbench.wire import sse

__all__ = ["Relay"]

_PAGE = Path(__file__).parent / "page"
_THIS_MACHINE = ("127.0.0.1", "localhost")
_QUESTION_SECONDS = 30.0  # within which the question has to come
_END_SECONDS = 0.5  # for which the end of an answer may take to be sent
_TOO_MUCH, _WRONG, _REASON_BYTES = 1009, 1008, 123  # RFC 6455, sections 7.4.1 and 5.5


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1)


class Relay(Starlette):
    """The relay as an ASGI application.

    Args:
        provider: whose stream is passed on.
        model: the model that is asked.
        max_tokens: the length of an answer, at most.
        max_request_bytes: the length of a question, at most.
        patience: seconds for which a client may take nothing before its stream is given up.
        hosts: the names by which a browser may reach it.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        model: str,
        max_tokens: int = 1024,
        max_request_bytes: int = 65_536,
        patience: float = 60.0,
        hosts: tuple[str, ...] = _THIS_MACHINE,
    ) -> None:
        self.provider, self.model, self.max_tokens = provider, model, max_tokens
        self.max_request_bytes, self.patience = max_request_bytes, patience
        self.closing = asyncio.Event()
        super().__init__(
            routes=[
                Route("/ask", self.by_events, methods=["POST"]),
                WebSocketRoute("/ask", self.by_websocket),
                Mount("/", StaticFiles(directory=_PAGE, html=True)),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts), Middleware(_SameOrigin)],
            max_body_size=max_request_bytes,
        )

    def close(self) -> None:
        """Break off the streams that are under way."""
        self.closing.set()

    def request(self, question: _Question) -> Request:
        """What is asked of the provider: a browser chooses the prompt, and nothing that costs more."""
        message = Message(role="user", content=question.prompt)
        return Request(model=self.model, messages=(message,), max_tokens=self.max_tokens)

    async def by_events(self, http: HttpRequest) -> Response:
        """POST: the answer is an event stream.

        It is no GET, although a browser's EventSource knows nothing else: that asks again, and pays again,
        whenever the stream has ended.
        """
        try:
            async with asyncio.timeout(_QUESTION_SECONDS):
                question = _Question.model_validate_json(await http.body())
        except ValidationError as error:
            return PlainTextResponse(_what_is_wrong(error), 422)
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("the question did not come", 408)
        return _EventStream(self, self.request(question))

    async def by_websocket(self, socket: WebSocket) -> None:
        """The first message asks; the socket is closed after the answer, or by a client that leaves."""
        await socket.accept()
        try:
            async with asyncio.timeout(_QUESTION_SECONDS):
                text = await socket.receive_text()
            if len(text.encode()) > self.max_request_bytes:
                await socket.close(_TOO_MUCH, f"a question has at most {self.max_request_bytes} bytes")
                return
            request = self.request(_Question.model_validate_json(text))
        except (TimeoutError, WebSocketDisconnect):
            return
        except (ValidationError, KeyError) as error:  # KeyError: it sent bytes
            wrong = _what_is_wrong(error) if isinstance(error, ValidationError) else "not a text"
            await socket.close(_WRONG, wrong.encode()[:_REASON_BYTES].decode(errors="ignore"))
            return
        stream = self.provider.stream(request)
        with contextlib.suppress(WebSocketDisconnect):
            await pass_on(stream, socket.send_text, socket.receive, self.closing, patience=self.patience)
            async with asyncio.timeout(_END_SECONDS):
                await socket.close()


class _EventStream(Response):
    media_type = "text/event-stream"

    def __init__(self, relay: Relay, request: Request) -> None:
        # No cache is to keep it, and no proxy (nginx: X-Accel-Buffering) to hold it back.
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._relay, self._request = relay, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        relay = self._relay

        async def send_event(message: str) -> None:
            await send({"type": "http.response.body", "body": sse.encode(message), "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        stream = relay.provider.stream(self._request)
        await pass_on(stream, send_event, receive, relay.closing, patience=relay.patience)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await send({"type": "http.response.body", "body": b""})


class _SameOrigin:
    """Refuses what another site's page sends; who sends no ``Origin`` is no browser, and no page's victim."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            await PlainTextResponse("asked by another site's page", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _what_is_wrong(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join([*map(str, first["loc"]), first["msg"]])

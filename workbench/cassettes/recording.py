"""Recording: transports that hand everything on, unchanged, and write down what came and when.

The client and the inner transport notice nothing.  Everything that a recording learns, it learns in
`Recorder`; the two transports only carry bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from types import TracebackType
from typing import Self

import httpx2

from workbench.cassettes.cleaning import clean_request, clean_response
from workbench.cassettes.exchange import (
    COMPLETE,
    LEFT,
    Ending,
    Exchange,
    Part,
    RecordedResponse,
    error_class,
)
from workbench.clock import now
from workbench.redaction import Redactor

__all__ = ["AsyncRecordingTransport", "Recorder", "RecordingTransport"]

_DONE = b"data: [DONE]"  # after which OpenAI's sync client does not wait for the end of the stream


class Recorder:
    """One exchange as it happens."""

    def __init__(self, request: httpx2.Request, body: bytes, redactor: Redactor) -> None:
        self._redactor = redactor.knowing(request.headers)
        url = str(request.url)
        self._request = clean_request(request.method, url, request.headers, body, self._redactor)
        self._response: RecordedResponse | None = None
        self._end: Ending | None = None
        self._start = now()

    def _at(self) -> float:
        return max(0.0, round(now() - self._start, 9))

    def answer(
        self, response: httpx2.Response, body: httpx2.SyncByteStream | httpx2.AsyncByteStream
    ) -> httpx2.Response:
        """The head has come: the same answer, with a body that this watches."""
        headers: dict[str, str] = {}
        for name, value in response.headers.raw:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text  # RFC 9110, section 5.2
        self._response = RecordedResponse(at=self._at(), status=response.status_code, headers=headers)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=body, extensions=response.extensions
        )

    def part(self, body: bytes) -> None:
        """The next bytes have come."""
        assert self._response is not None, "a body follows its head"
        self._response.parts.append(Part(at=self._at(), body=body))

    def end(self, how: str, message: str = "") -> None:
        """It has ended; only the first end counts, but who left may come back and read on."""
        if self._end is None or (self._end.how == LEFT and how != LEFT):
            if how == LEFT and self._is_whole():
                how, message = COMPLETE, ""
            self._end = Ending(at=self._at(), how=how, message=message)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Write down an error, or that the client goes."""
        try:
            yield
        except httpx2.TransportError as error:
            kinds = (kind.__name__ for kind in type(error).__mro__)
            self.end(next(kind for kind in kinds if error_class(kind)), str(error))
            raise
        except BaseException as error:
            self.end(LEFT, "closed" if isinstance(error, GeneratorExit) else type(error).__name__)
            raise

    def _is_whole(self) -> bool:
        """Whether nothing can follow, although nobody has waited for the end."""
        if self._response is None:
            return False
        length = self._response.headers.get("content-length")
        size = sum(len(part.body) for part in self._response.parts)
        tail = b"".join(part.body for part in self._response.parts[-2:]).rstrip()
        return str(size) == length or tail.endswith(_DONE)

    def exchange(self) -> Exchange:
        """What is known by now, without its secrets."""
        response, end = self._response, self._end
        if end is None:
            times = [response.at, *(part.at for part in response.parts)] if response else [0.0]
            end = Ending(at=times[-1], how=LEFT, message="the recording ended first")
        return Exchange(
            request=self._request,
            response=response and clean_response(response, self._redactor),
            end=Ending(at=end.at, how=end.how, message=self._redactor.text(end.message)),
        )


Begin = Callable[[httpx2.Request, bytes], Recorder]


class _Body(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, recorder: Recorder) -> None:
        self._inner, self._recorder = inner, recorder
        self._source = iter(inner)  # one for all who read: a second reader goes on where the first was

    def __iter__(self) -> Iterator[bytes]:
        with self._recorder.watching():
            for body in self._source:
                self._recorder.part(body)
                yield body
        self._recorder.end(COMPLETE)

    def close(self) -> None:
        with self._recorder.watching():
            if isinstance(self._source, Generator):
                self._source.close()
            self._inner.close()
        self._recorder.end(LEFT, "closed")


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, recorder: Recorder) -> None:
        self._inner, self._recorder = inner, recorder
        self._source = aiter(inner)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._recorder.watching():
            async for body in self._source:
                self._recorder.part(body)
                yield body
        self._recorder.end(COMPLETE)

    async def aclose(self) -> None:
        with self._recorder.watching():
            if isinstance(self._source, AsyncGenerator):
                with contextlib.suppress(RuntimeError):  # another task is waiting for its next bytes
                    await self._source.aclose()
            await self._inner.aclose()
        self._recorder.end(LEFT, "closed")


class RecordingTransport(httpx2.BaseTransport):
    """Sends by `inner`; `begin` makes the recorder of a request."""

    def __init__(self, inner: httpx2.BaseTransport, begin: Begin) -> None:
        self._inner, self._begin = inner, begin

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request, and write down what comes."""
        recorder = self._begin(request, request.read())
        with recorder.watching():
            response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        return recorder.answer(response, _Body(response.stream, recorder))

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)


class AsyncRecordingTransport(httpx2.AsyncBaseTransport):
    """Sends by `inner`; `begin` makes the recorder of a request."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, begin: Begin) -> None:
        self._inner, self._begin = inner, begin

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request, and write down what comes."""
        recorder = self._begin(request, await request.aread())
        with recorder.watching():
            response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        return recorder.answer(response, _AsyncBody(response.stream, recorder))

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)

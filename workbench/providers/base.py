"""What every provider offers: the whole answer, or its events as they come."""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from copy import deepcopy
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, runtime_checkable

import httpx2

from workbench.clock import date, time_left
from workbench.errors import (
    InvalidRequestError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    StreamInterruptedError,
    error_for_status,
)
from workbench.events import Accumulator, Event
from workbench.messages import Completion, Request
from workbench.providers.structured import ModelT, Parsed, parse
from workbench.streams import is_token
from workbench.tracing.genai import Phases, answer_attributes, inference

__all__ = ["Provider", "SdkProvider"]


@runtime_checkable
class Provider(Protocol):
    """An LLM API behind one interface."""

    name: str

    async def complete(self, request: Request) -> Completion:
        """The whole answer to `request`.

        Raises:
            ProviderError: the call failed; see :mod:`workbench.errors` for the kinds.
        """

    def stream(self, request: Request) -> AsyncIterator[Event]:
        """The answer's events, as they come.

        Raises:
            ProviderError: the call failed. Once the stream has begun, always StreamInterruptedError, which
                keeps the text that had come.
        """

    async def parse(self, request: Request, model: type[ModelT], *, repairs: int = 2) -> Parsed[ModelT]:
        """The answer to `request` as an instance of `model`.

        Args:
            request: what is asked; its own response format is replaced.
            model: what the answer is to be.
            repairs: how often a wrong answer is sent back, with what is wrong about it, at most. One that was
                refused or cut off is not.

        Raises:
            InvalidOutputError: none of the answers was valid; the error keeps them all.
            ProviderError: a call failed.
        """
        return await parse(self.complete, request, model, repairs)


class Decoder(Protocol):
    """Turns an SDK's stream items into events."""

    def decode(self, item: Any, /) -> Iterator[Event]:
        """The events of one item."""

    def end(self) -> Iterator[Event]:
        """What the end of the stream says: nothing, unless the answer is whole."""


_SPENT = "credit balance is too low"  # all that tells Anthropic's answer from one to a bad request


def from_status(error: Any, provider: str) -> ProviderError:
    """Our error for an SDK's ``APIStatusError``."""
    body = error.body if isinstance(error.body, dict) else {}
    detail = body.get("error", body)
    detail = detail if isinstance(detail, dict) else {}
    kind = error_for_status(error.status_code)
    message = str(detail.get("message") or error.message)
    if "insufficient_quota" in (detail.get("code"), detail.get("type")) or _SPENT in message:
        kind = QuotaExceededError
    headers = error.response.headers
    made = kind(message, provider=provider, status=error.status_code, request_id=error.request_id)
    made.retryable = kind.retryable or error.status_code == 409  # a lock that somebody else holds
    made.retryable = {"true": True, "false": False}.get(headers.get("x-should-retry"), made.retryable)
    made.retry_after = _retry_after(headers) if made.retryable else None
    return made


def _retry_after(headers: Any) -> float | None:
    """Seconds: ``retry-after-ms`` before ``retry-after``, in seconds or as a date, as the SDKs do."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        return None if math.isnan(seconds) else max(0.0, seconds)
    try:
        moment = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    # A date without a zone is in UTC (RFC 9110, 5.6.7).
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - date()).total_seconds())


def from_sdk(error: BaseException) -> BaseException:
    """Our error for one of an SDK's, where somebody calls it without an adapter; any other stays as it is."""
    name = type(error).__module__.partition(".")[0]
    sdk: Any = sys.modules.get(name) if name in ("openai", "anthropic") else None
    if sdk is None or not isinstance(error, sdk.APIError):
        return error
    if isinstance(error, sdk.APIStatusError):
        return from_status(error, name)
    return from_connection(error, name, timeout=isinstance(error, sdk.APITimeoutError))


def from_connection(error: Exception, provider: str, *, timeout: bool) -> ProviderError:
    """Our error where no answer came."""
    kind = ProviderTimeoutError if timeout else ProviderConnectionError
    cause = error.__cause__ or error
    return kind(f"{cause}" or type(cause).__name__, provider=provider)


def _within(timeout: Any, left: float) -> httpx2.Timeout:
    """The timeouts, none of them longer than what is left until the deadline."""
    given = httpx2.Timeout(timeout).as_dict()
    return httpx2.Timeout(**{name: left if t is None else min(t, left) for name, t in given.items()})


class SdkProvider(Provider):
    """What the two SDKs' adapters have in common: one generator made both, so errors have the same names.

    Args:
        sdk: the SDK's module.
        client: the SDK's client; its timeout is what it is, unless a deadline is earlier.
        create: sends a request; its arguments are the request's, and `stream`.
        decode: the SDK's whole answer as ours.
        decoder: makes a decoder of the SDK's stream items.
        schema: puts a JSON schema into the provider's dialect.
    """

    name: str

    def __init__(
        self,
        sdk: Any,
        client: Any,
        create: Callable[..., Awaitable[Any]],
        encode: Callable[[Request], dict[str, Any]],
        decode: Callable[[Any], Completion],
        decoder: Callable[[], Decoder],
        schema: Callable[[Any], dict[str, Any]],
    ) -> None:
        self._sdk, self._client, self._create, self._encode = sdk, client, create, encode
        self._decode, self._decoder, self._schema = decode, decoder, schema

    async def complete(self, request: Request) -> Completion:
        """The whole answer to `request`; see :class:`Provider`."""
        with inference(self.name, request.model) as record:
            answer = self._decode(await self._send(request))
            record.attributes |= answer_attributes(answer)
        return answer

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """The answer's events; see :class:`Provider`.

        A stream that breaks off, or lacks its end, is an error: neither SDK raises one for the latter.
        """
        so_far = Accumulator()
        with inference(self.name, request.model, **{"gen_ai.request.stream": True}) as record:
            phases = Phases()
            async with await self._send(request, stream=True) as items:
                try:
                    async for event in self._events(items):
                        so_far.add(event)
                        if is_token(event):
                            phases.token()
                        yield event
                except (self._sdk.APIError, httpx2.HTTPError, ValueError) as error:  # or an event is no JSON
                    message = f"the stream broke off: {error.__cause__ or error!r}"
                    raise StreamInterruptedError(message, provider=self.name, partial=so_far.text) from error
                finally:
                    phases.end()
            if so_far.finished is None:
                message = "the stream ended early"
                raise StreamInterruptedError(message, provider=self.name, partial=so_far.text)
            if record.number:
                record.attributes |= answer_attributes(so_far.completion())

    def _encoded(self, request: Request) -> dict[str, Any]:
        wanted = request.response_format
        if wanted is not None and "properties" in wanted.json_schema:  # of any object nothing is to be said
            schema = self._schema(deepcopy(wanted.json_schema))
            wanted = wanted.model_copy(update={"json_schema": schema})
            request = request.model_copy(update={"response_format": wanted})
        return self._encode(request)

    async def _send(self, request: Request, **options: Any) -> Any:
        if (left := time_left()) < math.inf:
            if left <= 0:
                raise ProviderTimeoutError("the deadline has passed: nothing was sent", provider=self.name)
            options["timeout"] = _within(self._client.timeout, left)
        try:
            return await self._create(**self._encoded(request), **options)
        except self._sdk.APIStatusError as error:
            raise from_status(error, self.name) from error
        except self._sdk.APIError as error:
            timeout = isinstance(error, self._sdk.APITimeoutError)
            raise from_connection(error, self.name, timeout=timeout) from error
        except ValueError as error:  # the SDK itself refuses, such as answers that take over ten minutes
            raise InvalidRequestError(str(error), provider=self.name) from error

    async def _events(self, items: AsyncIterator[Any]) -> AsyncIterator[Event]:
        decoder = self._decoder()
        async for item in items:
            for event in decoder.decode(item):
                yield event
        for event in decoder.end():
            yield event

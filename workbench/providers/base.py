"""What every provider offers: the whole answer, or its events as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

from workbench.errors import (
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExceededError,
    RateLimitError,
    StreamInterruptedError,
    error_for_status,
)
from workbench.events import Accumulator, Event, Finished
from workbench.messages import Completion, Request

__all__ = ["Provider", "checked", "from_status"]


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


def from_status(error: Any, provider: str) -> ProviderError:
    """Our error for an SDK's ``APIStatusError``."""
    body = error.body if isinstance(error.body, dict) else {}
    detail = body.get("error", body)
    detail = detail if isinstance(detail, dict) else {}
    kind = error_for_status(error.status_code)
    if "insufficient_quota" in (detail.get("code"), detail.get("type")):
        kind = QuotaExceededError
    message = str(detail.get("message") or error.message)
    headers = error.response.headers
    return kind(
        message,
        provider=provider,
        status=error.status_code,
        request_id=error.request_id,
        retry_after=_retry_after(headers) if issubclass(kind, RateLimitError) or kind.retryable else None,
    )


def _retry_after(headers: Any) -> float | None:
    """Seconds: ``retry-after-ms`` before ``retry-after``, as the SDKs do."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
    return None


def from_connection(error: Exception, provider: str, *, timeout: bool) -> ProviderError:
    """Our error where no answer came."""
    kind = ProviderTimeoutError if timeout else ProviderConnectionError
    cause = error.__cause__ or error
    return kind(f"{cause}" or type(cause).__name__, provider=provider)


async def checked(
    events: AsyncIterator[Event], provider: str, broken: tuple[type[Exception], ...]
) -> AsyncIterator[Event]:
    """The events of a stream; a stream that breaks off, or lacks its end, is an error.

    Neither SDK raises anything where a stream ends without its end mark.
    """
    so_far = Accumulator()
    try:
        async for event in events:
            so_far.add(event)
            yield event
            if isinstance(event, Finished):
                return
    except broken as error:
        message = f"the stream broke off: {error.__cause__ or error!r}"
        raise StreamInterruptedError(message, provider=provider, partial=so_far.text) from error
    raise StreamInterruptedError("the stream ended early", provider=provider, partial=so_far.text)

"""What can go wrong with a call to a provider, as one tree::

    WorkbenchError
    ├── ProviderError                 the provider, or the way to it, failed
    │   ├── InvalidRequestError       400, 413, 422: the caller's fault
    │   ├── AuthenticationError       401, 403: the key is missing, wrong, or not allowed to
    │   ├── NotFoundError             404: no such model
    │   ├── QuotaExceededError        402, or 400 and 429 that say so: the account is out of money
    │   ├── RateLimitError            429: too fast                               retryable
    │   ├── ServerError               5xx                                         retryable
    │   │   └── OverloadedError       503, 529                                    retryable
    │   ├── ProviderConnectionError   no connection, or it broke                  retryable
    │   ├── ProviderTimeoutError      no answer in time                           retryable
    │   └── StreamInterruptedError    the stream ended early; keeps what had come
    ├── CassetteError                 a recording cannot be used
    │   ├── CassetteFormatError       the file is damaged, or of another kind
    │   └── MissingRecordingError     this request, or the rest of its answer, was never recorded
    ├── CallNotPermittedError         a policy of our own, such as a circuit breaker, has not sent the call
    ├── InvalidOutputError            an answer is not what its model says; keeps what was said
    ├── StreamCancelledError          somebody has stopped a stream on a board; keeps what had come
    ├── CostExceedsLimitError         a request that a rate limit can never let through
    ├── RagError                      a question cannot be answered from documents
    │   ├── DocumentError             a document cannot be used: no UTF-8, too large, empty
    │   └── AnswerError               what the model wrote is no answer of the form that was asked for
    ├── EventTooLargeError            a stream's event is longer than its reader allows
    ├── ProfilerError                 a profiler cannot run here
    └── ConfigurationError            a setting of the workbench's own is wrong

`retryable` says whether the same request may succeed later, `retry_after` how long the provider asks to
wait first.  Adapters in :mod:`workbench.providers` turn every SDK's exceptions into this tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.messages import Usage

__all__ = [
    "AnswerError",
    "AuthenticationError",
    "CallNotPermittedError",
    "CassetteError",
    "CassetteFormatError",
    "ConfigurationError",
    "CostExceedsLimitError",
    "DocumentError",
    "EventTooLargeError",
    "InvalidOutputError",
    "InvalidRequestError",
    "MissingRecordingError",
    "NotFoundError",
    "OverloadedError",
    "ProfilerError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderTimeoutError",
    "QuotaExceededError",
    "RagError",
    "RateLimitError",
    "ServerError",
    "StreamCancelledError",
    "StreamInterruptedError",
    "WorkbenchError",
    "error_for_status",
]


class WorkbenchError(Exception):
    """The root of every error that the workbench raises on purpose."""


class ProfilerError(WorkbenchError):
    """A profiler cannot run here; the message says why."""


class ConfigurationError(WorkbenchError, ValueError):
    """A setting is wrong; the message says which, its value, and what is allowed."""


class CostExceedsLimitError(WorkbenchError, ValueError):
    """A request costs more than the limiter can ever grant at once."""


class RagError(WorkbenchError):
    """A question cannot be answered from documents in this way."""


class DocumentError(RagError, ValueError):
    """A document cannot be used; the message says which, why, and what to do."""


class AnswerError(RagError, ValueError):
    """A model's text is no answer of the form that it was asked for; `text` is what it wrote."""

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.text = text


class CallNotPermittedError(WorkbenchError):
    """A policy of the caller's own, such as a circuit breaker, has refused a call; nothing was sent.

    Args:
        policy: which one.
        retry_after: seconds after which it may let a call through.
    """

    retryable = False

    def __init__(self, policy: str, *, retry_after: float) -> None:
        when = f"; ask again in {retry_after:.1f} s" if retry_after else ""
        super().__init__(f"{policy} refused the call, nothing was sent{when}")
        self.policy, self.retry_after = policy, retry_after


class CassetteError(WorkbenchError):
    """A recording of HTTP cannot be used in this way."""


class CassetteFormatError(CassetteError, ValueError):
    """A cassette's file is damaged or of an unknown kind; the message says where."""


class MissingRecordingError(CassetteError):
    """What was asked for was never recorded; nothing was sent to the network."""


class EventTooLargeError(WorkbenchError, ValueError):
    """A line or an event of a stream is longer than its reader is ready to keep."""


class StreamCancelledError(WorkbenchError):
    """Somebody has stopped this stream, and no other, on its board; `partial` is the text that had come."""

    def __init__(self, message: str, *, partial: str) -> None:
        super().__init__(message)
        self.partial = partial


class InvalidOutputError(WorkbenchError, ValueError):
    """What a model said is not what it was asked for.

    Args:
        message: what is wrong with the last answer.
        raw: the answers, as they came, the oldest first.
        complaints: what was wrong with each of them.
        usage: of all of them together.
    """

    def __init__(
        self, message: str, *, raw: tuple[str, ...], complaints: tuple[str, ...], usage: Usage
    ) -> None:
        super().__init__(message)
        self.raw, self.complaints, self.usage = raw, complaints, usage


class ProviderError(WorkbenchError):
    """A call to a provider failed.

    Args:
        message: what the provider said.
        provider: its name, for example ``"openai"``.
        status: the HTTP status, where there was one.
        request_id: the provider's id of the request, for its support.
        retry_after: seconds that the provider asks to wait; None if it does not say.

    `retryable` is the kind's, unless the provider says otherwise of this one.
    """

    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        status = "" if self.status is None else f" {self.status}"
        return f"{self.provider}{status}: {self.args[0]}"


class InvalidRequestError(ProviderError):
    """The request is wrong: sent again, it fails again."""


class AuthenticationError(ProviderError):
    """The key is missing, unknown or revoked, or lacks the permission."""


class NotFoundError(ProviderError):
    """The model or the resource does not exist."""


class QuotaExceededError(ProviderError):
    """The account's quota is used up; waiting does not help, paying does."""


class RateLimitError(ProviderError):
    """Too many requests or tokens in too short a time."""

    retryable = True


class ServerError(ProviderError):
    """The provider failed to answer a right request."""

    retryable = True


class OverloadedError(ServerError):
    """The provider has no capacity left at the moment."""


class ProviderConnectionError(ProviderError):
    """The connection could not be made, or was lost before the answer began."""

    retryable = True


class ProviderTimeoutError(ProviderError):
    """The answer did not come within the client's timeout."""

    retryable = True


class StreamInterruptedError(ProviderError):
    """A stream broke off, or ended without its end mark.

    `partial` is the text that had come.  It is not retryable as it is: a second stream would begin again with
    its first word.
    """

    def __init__(self, message: str, *, provider: str, partial: str) -> None:
        super().__init__(message, provider=provider)
        self.partial = partial


_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: AuthenticationError,
    404: NotFoundError,
    408: ProviderTimeoutError,
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}


def error_for_status(status: int) -> type[ProviderError]:
    """The class of error for an HTTP status of 400 or more."""
    return _BY_STATUS.get(status, ServerError if status >= 500 else InvalidRequestError)

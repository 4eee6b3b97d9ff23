"""Anthropic's API as a server speaks it: what all its endpoints share, and messages.

Wire format: the Claude API reference, "Authentication", "Rate limits" and "Errors".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from workbench.wire.anthropic_answer import StreamEncoder, encode_completions
from workbench.wire.anthropic_request import decode_request
from workbench.wire.dialect import (
    ErrorKind,
    Excess,
    Format,
    LimitState,
    WireError,
    compact,
    milliseconds,
)

__all__ = ["MESSAGES", "AnthropicDialect", "error_body"]

MESSAGES = Format("msg_", "toolu_", decode_request, encode_completions, StreamEncoder)

_ERRORS: dict[ErrorKind, tuple[int, str]] = {
    "invalid_request": (400, "invalid_request_error"),
    "authentication": (401, "authentication_error"),
    "permission": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"),
    "quota": (400, "invalid_request_error"),
    "server_error": (500, "api_error"),
    "overloaded": (529, "overloaded_error"),
}

_SALES = "contact sales at https://claude.com/contact-sales to discuss your options for a rate limit increase"


def error_body(error: WireError, request_id: str) -> dict[str, object]:
    """An error as the API says it: alone, in a stream, and among a batch's results."""
    _, kind = _ERRORS[error.kind]
    body = {"type": kind, "message": error.message}
    return {"type": "error", "error": body, "request_id": request_id}


class AnthropicDialect:
    """Anthropic's keys, errors and rate limits."""

    name = "anthropic"
    request_id_header = "request-id"
    timing_header: str | None = None
    headers: Mapping[str, str] = {"anthropic-organization-id": "00000000-0000-4000-8000-000000000000"}
    error_event: str | None = "error"
    caches_on_demand = True
    spent_message = (
        "Your credit balance is too low to access the Anthropic API. "
        "Please go to Plans & Billing to upgrade or purchase credits."
    )

    def api_key(self, headers: Callable[[str], str | None]) -> str | None:
        """The ``x-api-key`` header, or the bearer token."""
        if key := headers("x-api-key"):
            return key
        scheme, _, key = (headers("authorization") or "").partition(" ")
        return key or None if scheme.lower() == "bearer" else None

    def encode_error(self, error: WireError, request_id: str) -> tuple[int, bytes]:
        """A ``{"type": "error"}`` object."""
        status, _ = _ERRORS[error.kind]
        return error.status or status, compact(error_body(error, request_id)).encode()

    def limit_headers(self, states: Iterable[LimitState], now: datetime) -> dict[str, str]:
        """``anthropic-ratelimit-*`` headers, with the date at which the bucket is full (RFC 3339)."""
        headers: dict[str, str] = {}
        for state in _with_total(states):
            full = now + timedelta(seconds=state.reset_seconds)
            prefix = f"anthropic-ratelimit-{state.name}"
            headers[f"{prefix}-limit"] = str(int(state.limit))
            headers[f"{prefix}-remaining"] = str(state.left)
            headers[f"{prefix}-reset"] = _rfc3339(full)
        return headers

    def limit_message(self, excess: Excess) -> str:
        """The limit; how much of it is used, and the wait, stand in the headers alone."""
        limit = excess.limit
        if limit.name == "concurrent":
            too_many = "Number of concurrent connections has exceeded your rate limit."
            return f"{too_many} Please try again later or {_SALES}."
        return (
            f"This request would exceed your organization's rate limit of {limit.limit:,.0f} "
            f"{limit.name.replace('-', ' ')} per minute (org: simulated, model: {excess.model}). "
            "For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response "
            "headers for current usage. Please reduce the prompt length or the maximum tokens requested, or "
            f"try again later. You may also {_SALES}."
        )

    def retry_headers(self, wait_seconds: float) -> dict[str, str]:
        """``retry-after``, in whole seconds."""
        return {"retry-after": str(math.ceil(milliseconds(wait_seconds) / 1000))}


def _with_total(states: Iterable[LimitState]) -> Iterator[LimitState]:
    """The limits; where input and output have one each, the API tells ``tokens`` as their sum besides."""
    known = {state.name: state for state in states}
    yield from known.values()
    apart = [known[name] for name in ("input-tokens", "output-tokens") if name in known]
    if len(apart) == 2 and "tokens" not in known:
        limit, left = sum(state.limit for state in apart), sum(state.left for state in apart)
        yield LimitState("tokens", limit, left, max(state.reset_seconds for state in apart))


def _rfc3339(date: datetime) -> str:
    """The date in UTC, rounded up to the millisecond."""
    up = timedelta(microseconds=-date.microsecond % 1000)
    return (date + up).isoformat(timespec="milliseconds").replace("+00:00", "Z")

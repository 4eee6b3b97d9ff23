"""OpenAI's API as a server speaks it: what all its endpoints share, and chat completions.

Wire format: the OpenAI API reference, "Authentication", "Rate limits" and "Error codes".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from workbench.wire.dialect import (
    ErrorKind,
    Excess,
    Format,
    LimitState,
    WireError,
    compact,
    milliseconds,
)
from workbench.wire.openai_answer import StreamEncoder, encode_completions
from workbench.wire.openai_request import decode_request

__all__ = ["CHAT", "LENIENT_CHAT", "ORGANIZATION", "OpenAIDialect"]

ORGANIZATION = "org-simulated"
CHAT = Format("chatcmpl-", "call_", decode_request, encode_completions, StreamEncoder)
LENIENT_CHAT = replace(CHAT, decode=partial(decode_request, lenient=True))

_ERRORS: dict[ErrorKind, tuple[int, str, str | None]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "authentication": (401, "invalid_request_error", "invalid_api_key"),
    "permission": (403, "invalid_request_error", "insufficient_permissions"),
    "not_found": (404, "invalid_request_error", None),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "rate_limit": (429, "requests", "rate_limit_exceeded"),  # or "tokens"
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "server_error": (500, "server_error", None),
    "overloaded": (503, "server_error", None),
}

_LIMITS = {
    "requests": "requests per min (RPM)",
    "tokens": "tokens per min (TPM)",
    "input-tokens": "input tokens per min (TPM)",
    "output-tokens": "output tokens per min (TPM)",
    "concurrent": "concurrent requests",
}


def _duration(seconds: float) -> str:
    """A duration as OpenAI writes it, in Go's way: ``20ms``, ``1.5s``, ``6m0s``."""
    ms = milliseconds(seconds)
    if ms < 1000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{ms / 1000:g}s"
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text


class OpenAIDialect:
    """OpenAI's keys, errors and rate limits."""

    name = "openai"
    request_id_header = "x-request-id"
    timing_header: str | None = "openai-processing-ms"
    headers: Mapping[str, str] = {"openai-version": "2020-10-01", "openai-organization": ORGANIZATION}
    error_event: str | None = None
    caches_on_demand = False
    spent_message = (
        "You exceeded your current quota, please check your plan and billing details. For more information "
        "on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    )

    def api_key(self, headers: Callable[[str], str | None]) -> str | None:
        """The bearer token."""
        scheme, _, key = (headers("authorization") or "").partition(" ")
        return key or None if scheme.lower() == "bearer" else None

    def encode_error(self, error: WireError, request_id: str) -> tuple[int, bytes]:
        """An ``{"error": {...}}`` object."""
        status, kind, code = _ERRORS[error.kind]
        if error.kind == "rate_limit" and error.param:  # which of the limits it was
            kind = error.param
        param = None if error.kind == "rate_limit" else error.param
        body = {"message": error.message, "type": kind, "param": param, "code": error.code or code}
        return error.status or status, compact({"error": body}).encode()

    def limit_headers(self, states: Iterable[LimitState], now: datetime) -> dict[str, str]:
        """``x-ratelimit-*`` headers, with the time to the full bucket as a duration."""
        headers: dict[str, str] = {}
        for state in states:
            headers[f"x-ratelimit-limit-{state.name}"] = str(int(state.limit))
            headers[f"x-ratelimit-remaining-{state.name}"] = str(state.left)
            headers[f"x-ratelimit-reset-{state.name}"] = _duration(state.reset_seconds)
        return headers

    def limit_message(self, excess: Excess) -> str:
        """The limit, what is used of it, and the wait; the one on concurrent requests names no wait."""
        limit, wait = excess.limit, excess.wait_seconds
        where = f"{excess.model} in organization {ORGANIZATION} on {_LIMITS[limit.name]}"
        used = f"Used {limit.limit - limit.remaining:.0f}, Requested {excess.cost:.0f}."
        what, hint = f"Rate limit reached for {where}: Limit {limit.limit:.0f}, {used}", ""
        if excess.hopeless:
            what = f"Request too large for {where}: Limit {limit.limit:.0f}, Requested {excess.cost:.0f}."
            hint = " The input or output tokens must be reduced in order to run successfully."
        elif wait is not None:
            hint = f" Please try again in {_duration(wait)}."
        return f"{what}{hint} Visit https://platform.openai.com/account/rate-limits to learn more."

    def retry_headers(self, wait_seconds: float) -> dict[str, str]:
        """``retry-after`` in whole seconds, and ``retry-after-ms``, which the SDK prefers."""
        ms = milliseconds(wait_seconds)
        return {"retry-after": str(math.ceil(ms / 1000)), "retry-after-ms": str(ms)}

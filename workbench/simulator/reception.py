"""A request at the provider's door: whose it is, what it asks, whether it fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.messages import Request
from workbench.simulator.models import ModelProfile
from workbench.wire.dialect import Call, Dialect, WireError, compact

__all__ = ["HttpRequest", "authenticate", "check_size", "decode", "digest_of"]


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_PARSE = json.JSONDecoder(parse_constant=_no_constant).decode
_CANONICAL = json.JSONEncoder(sort_keys=True).encode


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request, however it came: `header` looks one up by its lower-case name."""

    method: str
    path: str
    header: Callable[[str], str | None]
    body: bytes


def authenticate(dialect: Dialect, request: HttpRequest, keys: frozenset[str] | None) -> str:
    """The key that `request` came with, if it is among `keys`; None: any key is good."""
    key = dialect.api_key(request.header)
    if key is None:
        raise WireError("authentication", "No API key was provided: send one in the headers.")
    if keys is not None and key not in keys:
        raise WireError("authentication", f"Incorrect API key provided: {key[:3]}***.")
    return key


def decode(dialect: Dialect, request: HttpRequest, max_body_bytes: int) -> tuple[Call, str]:
    """The call, and a digest of it that does not depend on how the answer is to be sent."""
    if len(request.body) > max_body_bytes:
        limit = f"{max_body_bytes:,} bytes"
        raise WireError("too_large", f"The request exceeds the maximum size of {limit}.")
    if request.path != dialect.path:
        raise WireError("not_found", f"Invalid URL ({request.method} {request.path})")
    if request.method != "POST":
        message = f"Not allowed to {request.method} on {request.path}."
        raise WireError("invalid_request", message, status=405)
    if dialect.name == "anthropic" and request.header("anthropic-version") is None:
        raise WireError("invalid_request", "anthropic-version: header is required")
    try:
        body = _PARSE(request.body.decode())
        if b"\\u" in request.body:
            compact(body).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        message = f"We could not parse the JSON body of your request: {error}."
        raise WireError("invalid_request", message) from None
    call = dialect.decode_request(body)
    content = {k: v for k, v in body.items() if k not in ("stream", "stream_options")}
    return call, digest_of(_CANONICAL(content), 16)


def check_size(model: ModelProfile, request: Request, input_tokens: int) -> None:
    """Refuse what is too long for `model`."""
    if (request.max_tokens or 0) > model.max_output_tokens:
        limit = model.max_output_tokens
        message = f"max_tokens is too large: {request.max_tokens}; {model.name} allows {limit}."
        raise WireError("invalid_request", message, param="max_tokens")
    if input_tokens > model.context_window:
        message = (
            f"This model's maximum context length is {model.context_window} tokens; "
            f"your messages have {input_tokens}."
        )
        raise WireError("invalid_request", message, param="messages", code="context_length_exceeded")


def digest_of(text: str, size_bytes: int) -> str:
    """A digest that is the same in every process, unlike ``hash``."""
    return hashlib.blake2b(text.encode(), digest_size=size_bytes).hexdigest()

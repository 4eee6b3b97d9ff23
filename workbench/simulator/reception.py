"""A request at the provider's door: whose it is, where it wants to go, and what it says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from workbench.messages import Request
from workbench.simulator.exchange import Exchange
from workbench.simulator.models import ModelProfile
from workbench.tokens import count
from workbench.wire.dialect import MESSAGE_TOKENS, Dialect, Format, WireError, canonical, compact

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = [
    "HttpRequest",
    "Keys",
    "Route",
    "Router",
    "Visit",
    "authenticate",
    "authorize",
    "check_size",
    "digest_of",
    "input_tokens",
]

Keys = Mapping[str, frozenset[str] | None]
"""The keys that are accepted, each with its scopes; None: it may do everything."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_PARSE = json.JSONDecoder(parse_constant=_no_constant).decode
# They do not change what the answer says.
_HOW_IT_IS_SENT = (
    *("stream", "stream_options", "background", "store", "metadata"),
    *("logprobs", "top_logprobs"),
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request, however it came: `header` looks one up by its lower-case name.

    What is too large need not be read to be refused: its size is what was announced.
    """

    method: str
    path: str
    header: Callable[[str], str | None]
    body: bytes
    query: str = ""
    announced_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        """Of the body."""
        return max(len(self.body), self.announced_bytes)


@dataclass(slots=True)
class Visit:
    """A request that has been let in: on whose behalf it acts, and what it says.

    `parameters` are the parts of the path that its route names, such as ``id``.
    """

    exchange: Exchange
    dialect: Dialect
    request: HttpRequest
    key: str
    parameters: Mapping[str, str]
    now: float
    date: datetime

    def json(self) -> dict[str, Any]:
        """The body.

        Raises:
            WireError: it is no JSON object.
        """
        data = self.request.body
        try:
            body = _PARSE(data.decode())
            if b"\\u" in data:
                compact(body).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError) as error:
            message = f"We could not parse the JSON body of your request: {error}."
            raise WireError("invalid_request", message) from None
        if not isinstance(body, dict):
            raise WireError("invalid_request", f"The body must be a JSON object, got {data[:40].decode()!r}.")
        return body

    def query(self) -> dict[str, str]:
        """The parameters behind the question mark; of one that is given twice the last."""
        return dict(parse_qsl(self.request.query, keep_blank_values=True))

    def digest(self, body: Mapping[str, Any]) -> str:
        """A digest of what is asked, which does not depend on how the answer is to be sent."""
        return digest_of(canonical({k: v for k, v in body.items() if k not in _HOW_IT_IS_SENT}), 16)


@dataclass(frozen=True, slots=True)
class Route:
    """What a provider does for requests of one method to paths of one form.

    Args:
        method: the HTTP method.
        template: the path; ``{name}`` stands for one part of it.
        scope: that a key needs for it, where keys have scopes.
        handle: does it.
    """

    method: str
    template: str
    scope: str
    handle: Callable[[Engine, Visit], None]


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in routes:
            if "{" not in route.template:
                self._exact.setdefault(route.template, {})[route.method] = route
            else:
                pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.template))
                _, methods = self._patterns.setdefault(route.template, (pattern, {}))
                methods[route.method] = route

    def find(self, request: HttpRequest) -> tuple[Route, Mapping[str, str]]:
        """The route, and the parts of the path that it names.

        Raises:
            WireError: there is none for this path (404), or none for this method (405).
        """
        methods, parameters = self._exact.get(request.path), {}
        if methods is None:
            for pattern, candidates in self._patterns.values():
                if match := pattern.fullmatch(request.path):
                    methods, parameters = candidates, match.groupdict()
                    break
            else:
                raise WireError("not_found", f"Invalid URL ({request.method} {request.path})")
        if (route := methods.get(request.method)) is None:
            message = f"Not allowed to {request.method} on {request.path}."
            raise WireError("invalid_request", message, status=405)
        return route, parameters


def authenticate(dialect: Dialect, request: HttpRequest, keys: Keys | None) -> str:
    """The key that `request` came with, if it is among `keys`; None: any key is good."""
    key = dialect.api_key(request.header)
    if key is None:
        raise WireError("authentication", "No API key was provided: send one in the headers.")
    if keys is not None and key not in keys:
        raise WireError("authentication", "Incorrect API key provided.")
    return key


def authorize(key: str, scope: str, keys: Keys | None) -> None:
    """Refuse a key that lacks `scope`."""
    scopes = None if keys is None else keys[key]
    if scopes is not None and scope not in scopes:
        message = f"You have insufficient permissions for this operation. Missing scopes: {scope}."
        raise WireError("permission", message)


def input_tokens(request: Request) -> int:
    """How many tokens the model reads: messages, documents, its own tool calls, and what tools there are."""
    tokens = count(request.text) + MESSAGE_TOKENS * len(request.messages)
    for tool in request.tools:
        tokens += count(compact(tool.model_dump()))
    for message in request.messages:
        for call in message.tool_calls:
            tokens += count(call.arguments)
    return tokens


def check_size(model: ModelProfile, request: Request, input_tokens: int, form: Format) -> None:
    """Refuse what is too long for `model`."""
    if (request.max_tokens or 0) > model.max_output_tokens:
        limit = model.max_output_tokens
        message = f"{form.limit} is too large: {request.max_tokens}; {model.name} allows {limit}."
        raise WireError("invalid_request", message, param=form.limit)
    if input_tokens > model.context_window:
        message = (
            f"This model's maximum context length is {model.context_window} tokens. "
            f"However, your {form.prompt} resulted in {input_tokens} tokens."
        )
        raise WireError("invalid_request", message, param=form.prompt, code="context_length_exceeded")


def digest_of(text: str, size_bytes: int) -> str:
    """A digest that is the same in every process, unlike ``hash``."""
    return hashlib.blake2b(text.encode(), digest_size=size_bytes).hexdigest()

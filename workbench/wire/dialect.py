"""What the providers' wire protocols have in common: the vocabulary between them and a server."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from workbench.events import Event
from workbench.messages import Completion, Request

__all__ = [
    "MESSAGE_TOKENS",
    "Call",
    "Dialect",
    "Encoder",
    "ErrorKind",
    "Excess",
    "Format",
    "LimitState",
    "Prefix",
    "WireError",
    "canonical",
    "compact",
    "encode_json",
    "milliseconds",
    "takes_free_text",
    "text_of",
]

MESSAGE_TOKENS = 4
"""What the chat format adds to each message."""

_ROUNDING = 1e-6  # a float's error; far below a unit, and below a nanosecond in milliseconds

ErrorKind = Literal[
    "invalid_request",
    "authentication",
    "permission",
    "not_found",
    "too_large",
    "rate_limit",
    "quota",
    "server_error",
    "overloaded",
]


class WireError(Exception):
    """A request that a provider refuses, before it is put into that provider's words.

    Args:
        kind: what is wrong; each dialect has its own status, type and code for it.
        message: what is said about it.
        param: the parameter at fault, for example ``messages[0].role``.
        code: a finer reason than `kind`, where the provider has one.
        status: another status than the kind's usual one.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        self.message, self.param, self.code, self.status = message, param, code, status


@dataclass(frozen=True, slots=True)
class Prefix:
    """A prompt up to a place at which a provider's cache may take it up again.

    Args:
        digest: of all that stands before the place.
        tokens: that stand before it.
        keep_seconds: how long it is to be kept after each use; 0: it is only looked for.
    """

    digest: str
    tokens: int
    keep_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A decoded HTTP request: what is asked of the model, and how the answer is to be sent.

    Args:
        request: what is asked.
        stream: whether the answer comes bit by bit.
        n: how many answers.
        include_usage: whether a stream tells the usage.
        options: the endpoint's own: what its encoders or its handlers need to know besides.
        prefixes: where a cache may cut the prompt, the shortest first.
    """

    request: Request
    stream: bool = False
    n: int = 1
    include_usage: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    prefixes: Sequence[Prefix] = ()


@dataclass(frozen=True, slots=True)
class LimitState:
    """A rate limit at one instant.

    `name` is requests, tokens, input-tokens or output-tokens, all a minute, or concurrent.
    """

    name: str
    limit: float
    remaining: float
    reset_seconds: float

    @property
    def left(self) -> int:
        """What remains, in whole units; never less than none."""
        return max(0, math.floor(self.remaining + _ROUNDING))


@dataclass(frozen=True, slots=True)
class Excess:
    """A rate limit that stands against a request.

    Args:
        limit: as it is at that instant.
        model: whose limit it is.
        cost: what the request asks of it.
        wait_seconds: until it would be granted; infinite: it never will be; None: nobody knows.
    """

    limit: LimitState
    model: str
    cost: float
    wait_seconds: float | None

    @property
    def hopeless(self) -> bool:
        """Whether no waiting helps."""
        return self.wait_seconds == math.inf


class Encoder(Protocol):
    """Turns events into the bytes of a stream."""

    def encode(self, event: Event, choice: int = 0) -> bytes:
        """The bytes that say `event` in the choice of that index."""

    def end(self) -> bytes:
        """The bytes that end the stream."""


@dataclass(frozen=True, slots=True)
class Format:
    """How one endpoint is asked for a model's answer, and how it says it.

    Args:
        id_prefix: with which the ids of its answers begin.
        call_id_prefix: with which the ids of tool calls begin.
        decode: understands a request's JSON; a WireError says what is wrong with it.
        encode: the whole answer as JSON, from the call, a completion for each choice, and the date.
        stream: an encoder of the answer as a stream, from the call, the date, and the prompt's tokens.
        prompt: the name of the parameter that holds the prompt.
        limit: the name of the parameter that limits the answer.
    """

    id_prefix: str
    call_id_prefix: str
    decode: Callable[[Any], Call]
    encode: Callable[[Call, Sequence[Completion], int], dict[str, object]]
    stream: Callable[[Call, int, int], Encoder]
    prompt: str = "messages"
    limit: str = "max_tokens"


class Dialect(Protocol):
    """What all of a provider's endpoints have in common; ``wire.openai`` and ``wire.anthropic`` are two.

    Args:
        name: of the provider.
        request_id_header: in which it sends a request's id.
        timing_header: in which it says how long an answer took it, in milliseconds; None: it does not.
        headers: that every response has.
        error_event: the name of a stream's event that says an error; None: it has none.
        spent_message: what it says to a key whose money is used up.
        caches_on_demand: what a cache keeps is asked for and costs more, and no rate limit counts what is
            read from it; else the provider caches by itself.
    """

    name: str
    request_id_header: str
    timing_header: str | None
    headers: Mapping[str, str]
    error_event: str | None
    spent_message: str
    caches_on_demand: bool

    def api_key(self, headers: Callable[[str], str | None]) -> str | None:
        """The key among a request's headers."""

    def encode_error(self, error: WireError, request_id: str) -> tuple[int, bytes]:
        """Status and body of an error."""

    def limit_headers(self, states: Iterable[LimitState], now: datetime) -> dict[str, str]:
        """The rate limits' state, as response headers."""

    def limit_message(self, excess: Excess) -> str:
        """What is said to a client that is too fast."""

    def retry_headers(self, wait_seconds: float) -> dict[str, str]:
        """How long a client that was too fast has to wait, as response headers."""


class WireModel(BaseModel):
    """Part of a request as it stands on the wire; parameters that change nothing here are let through."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


def first_error(error: ValidationError) -> tuple[str, tuple[int | str, ...], str]:
    """Type, place and message of the most telling error of a validation.

    Of a union's errors that is the deepest one: the branch that fitted best.
    """
    best = max(error.errors(include_url=False), key=lambda e: len(e["loc"]))
    return best["type"], best["loc"], best["msg"]


canonical = json.JSONEncoder(sort_keys=True).encode
"""JSON that is the same for equal values."""

compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""JSON without white space, characters as they are."""


def encode_json(value: object) -> bytes:
    """The same as bytes."""
    try:
        return to_json(value)  # a third of the time
    except ValueError:  # it does not go as deep as requests may
        return compact(value).encode()


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, rounded up: after them a wait of `seconds` is over."""
    return math.ceil(seconds * 1000 - _ROUNDING)


def takes_free_text(request: Request, name: str | None) -> bool:
    """Whether the tool of that name does, in place of JSON."""
    return any(tool.free_text for tool in request.tools if tool.name == name)


def text_of(content: str | Sequence[Any] | None) -> str:
    """The text of a message's content: a string, or blocks of which some have text."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(text for block in content if (text := getattr(block, "text", None)))

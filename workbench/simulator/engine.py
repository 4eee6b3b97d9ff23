"""The provider itself: what it answers to a request, and when.  No clock, no I/O.

``receive`` decides everything at the instant of arrival, from (seed, state of the account, request, now):
the answer's words, its latency, its place in the queue, what goes wrong.  The result is an
:class:`Exchange`, a list of what is due when.  The drivers in :mod:`workbench.simulator.transport` only
wait and deliver.
"""

from __future__ import annotations

import enum
import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest

from workbench.errors import ConfigurationError
from workbench.events import Event, split
from workbench.limits import TokenBucket
from workbench.messages import Completion
from workbench.simulator.answers import Script, Writer
from workbench.simulator.log import Outcome, RequestLog, RequestRecord
from workbench.simulator.models import Faults, Gaps, ModelProfile, RateLimits
from workbench.simulator.slots import Place, Slots
from workbench.tokens import count
from workbench.wire.anthropic import AnthropicDialect
from workbench.wire.dialect import Call, Dialect, Encoder, ErrorKind, LimitState, WireError
from workbench.wire.openai import OpenAIDialect

__all__ = ["Breakage", "Engine", "Exchange", "HttpRequest"]

DIALECTS: dict[str, Dialect] = {"openai": OpenAIDialect(), "anthropic": AnthropicDialect()}
_CANONICAL = json.JSONEncoder(sort_keys=True).encode
_MESSAGE_TOKENS = 4  # what the chat format adds to each message


class Breakage(enum.Enum):
    """How a connection fails, in place of the next bytes."""

    REFUSED = "the connection was refused"
    RESET = "the connection was reset by the peer"
    DISCONNECTED = "the peer closed the connection without sending the complete message body"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP request, however it came: `header` looks one up by its lower-case name."""

    method: str
    path: str
    header: Callable[[str], str | None]
    body: bytes


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each token of an answer is made, in seconds after the start of its service."""

    gaps: Gaps
    origin: int
    first: float
    tokens: int
    stall_at: int
    stall_seconds: float

    @property
    def last(self) -> float:
        """The instant of the last token."""
        stalled = self.stall_seconds if self.stall_at < self.tokens else 0.0
        return self.first + self.gaps.span(self.origin, self.tokens) + stalled

    def offsets(self) -> list[float]:
        """The instant of each token."""
        times = [self.first + at for at in self.gaps.times(self.origin, self.tokens)]
        stalled = [at + self.stall_seconds for at in times[self.stall_at :]]
        return [*times[: self.stall_at], *stalled] if stalled else times


@dataclass(slots=True, eq=False)
class Exchange(Place):
    """One request and its answer: what is due, and at which time after the start of its service.

    The head (status and headers) is due at `head_offset`.  `parts` yields (offset, bytes or breakage): a
    stream's follow one by one, any other answer has a single one that is due with its head.
    """

    number: int
    dialect: Dialect
    arrival: float
    request_id: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    parts: Iterable[tuple[float, bytes | Breakage]] = ()
    head_offset: float = 0.0
    model: ModelProfile | None = None
    stream: bool = False
    outcome: Outcome = "ok"
    error: str | None = None
    input_tokens: int = 0
    schedule: Schedule | None = None
    cancelled_at: float | None = None

    @property
    def streams(self) -> bool:
        """Whether the body follows its head bit by bit."""
        return self.stream and self.status == 200

    def record(self) -> RequestRecord:
        """What the log says of this exchange."""
        end = self.end if self.cancelled_at is None else self.cancelled_at
        start = self.start
        served = self.schedule is not None and start <= end
        offsets = self.schedule.offsets() if self.schedule and served else []
        tokens = tuple(start + offset for offset in offsets if start + offset <= end + 1e-9)
        return RequestRecord(
            number=self.number,
            arrival=self.arrival,
            provider=self.dialect.name,
            model=None if self.model is None else self.model.name,
            stream=self.stream,
            started=start if served else None,
            first_token=tokens[0] if tokens else None,
            tokens=tokens,
            ended=end,
            status=None if end < start + self.head_offset - 1e-9 else self.status,
            outcome="cancelled" if self.outcome == "ok" and self.cancelled_at is not None else self.outcome,
            error=self.error,
            input_tokens=self.input_tokens,
            output_tokens=len(tokens),
            request_id=self.request_id,
        )


class Account:
    """The rate limits of one key and one model."""

    def __init__(self, limits: RateLimits) -> None:
        given = {
            "requests": limits.requests,
            "tokens": limits.tokens,
            "input-tokens": limits.input_tokens,
            "output-tokens": limits.output_tokens,
        }
        self.buckets = {n: TokenBucket.per_minute(v) for n, v in given.items() if v is not None}

    def charge(self, cost: dict[str, float], now: float) -> tuple[str, float] | None:
        """Take `cost`, or say which limit stands against it and for how many seconds."""
        waits = {name: bucket.wait(cost[name], now) for name, bucket in self.buckets.items()}
        worst = max(waits, key=lambda name: waits[name], default=None)
        if worst is not None and waits[worst] > 0:
            return worst, waits[worst]
        for name, bucket in self.buckets.items():
            bucket.take(cost[name], now)
        return None

    def states(self, now: float) -> list[LimitState]:
        """All limits at this instant."""
        return [
            LimitState(name, bucket.capacity, bucket.level(now), bucket.full_in(now))
            for name, bucket in self.buckets.items()
        ]


class Engine:
    """A simulated provider of both APIs.

    Args:
        seed: of everything that is random.
        models: the models that it offers.
        faults: what goes wrong, and how often.
        script: what the models say, instead of their own words.
        keys: the API keys that are accepted; None: any key is.
        edge_latency: seconds that every answer takes besides the model, errors too.
        max_body_bytes: a larger request is refused with 413.
    """

    def __init__(
        self,
        *,
        seed: int,
        models: Sequence[ModelProfile],
        faults: Faults,
        script: Script | None,
        keys: frozenset[str] | None,
        edge_latency: float,
        max_body_bytes: int,
    ) -> None:
        self.seed, self.faults, self.keys = seed, faults, keys
        self.edge_latency, self.max_body_bytes = edge_latency, max_body_bytes
        self.models: dict[tuple[str, str], ModelProfile] = {(m.provider, m.name): m for m in models}
        self._writer = Writer(script)
        self._slots: dict[tuple[str, str], Slots[Exchange]] = {
            key: Slots(model.slots) for key, model in self.models.items()
        }
        self._accounts: dict[tuple[str, str, str], Account] = {}
        self._seen: Counter[str] = Counter()
        self._exchanges: list[Exchange] = []

    @property
    def log(self) -> RequestLog:
        """All requests so far."""
        return RequestLog([exchange.record() for exchange in self._exchanges])

    def receive(
        self,
        provider: str,
        request: HttpRequest,
        now: float,
        date: datetime,
    ) -> Exchange:
        """Answer `request`, which arrives at `now`.

        Args:
            provider: whose API it was sent to.
            request: what came.
            now: seconds on the simulator's timeline.
            date: the date of that instant.
        """
        dialect = DIALECTS[provider]
        number = len(self._exchanges) + 1
        exchange = Exchange(number, dialect, now, f"req_{_digest(f'{self.seed}/{number}', 12)}")
        exchange.start, exchange.end = now, now + self.edge_latency
        exchange.headers = {
            dialect.request_id_header: exchange.request_id,
            "content-type": "application/json",
        }
        self._exchanges.append(exchange)
        try:
            self._check_outage(now)
            self._answer(exchange, request, now, date)
        except WireError as error:
            self._reject(exchange, error)
        except _Broken as broken:
            exchange.outcome, exchange.error = "broken", broken.breakage.name.lower()
            exchange.parts = [(self.edge_latency, broken.breakage)]
            exchange.head_offset = self.edge_latency
        return exchange

    def cancel(self, exchange: Exchange, now: float) -> list[Exchange]:
        """The client has given up: it closed the connection, was cancelled, or timed out.

        Returns:
            the queued exchanges that will now start earlier than planned.
        """
        if exchange.cancelled_at is not None or now >= exchange.end - 1e-9:
            return []
        exchange.cancelled_at = now
        if exchange.model is None or exchange.schedule is None:
            return []
        return self._slots[exchange.dialect.name, exchange.model.name].leave(exchange, now)

    # -- what can be wrong with a request ---------------------------------------------------------

    def _check_outage(self, now: float) -> None:
        for outage in self.faults.outages:
            if outage.start <= now < outage.end:
                if outage.kind == "refuse":
                    raise _Broken(Breakage.REFUSED)
                raise _failure(outage.kind)

    def _reject(self, exchange: Exchange, error: WireError) -> None:
        exchange.status, body = exchange.dialect.encode_error(error, exchange.request_id)
        exchange.outcome = "failed" if exchange.status >= 500 else "rejected"
        exchange.error = error.kind
        exchange.parts = [(self.edge_latency, body)]
        exchange.head_offset = self.edge_latency

    def _authenticate(self, dialect: Dialect, request: HttpRequest) -> str:
        key = dialect.api_key(request.header)
        if key is None:
            raise WireError("authentication", "No API key was provided: send one in the headers.")
        if self.keys is not None and key not in self.keys:
            raise WireError("authentication", f"Incorrect API key provided: {key[:3]}***.")
        return key

    def _decode(self, dialect: Dialect, request: HttpRequest) -> tuple[Call, str]:
        """The call, and a digest of it that does not depend on how it is to be sent."""
        if len(request.body) > self.max_body_bytes:
            limit = f"{self.max_body_bytes:,} bytes"
            raise WireError("too_large", f"The request exceeds the maximum size of {limit}.")
        if request.path.removeprefix("/v1") != dialect.path.removeprefix("/v1"):
            raise WireError("not_found", f"Invalid URL ({request.method} {request.path})")
        if request.method != "POST":
            message = f"Not allowed to {request.method} on {request.path}."
            raise WireError("invalid_request", message, status=405)
        if dialect.name == "anthropic" and request.header("anthropic-version") is None:
            raise WireError("invalid_request", "anthropic-version: header is required")
        try:
            body = json.loads(request.body)
        except ValueError as error:
            message = f"We could not parse the JSON body of your request: {error}."
            raise WireError("invalid_request", message) from None
        call = dialect.decode_request(body)
        content = {k: v for k, v in body.items() if k not in ("stream", "stream_options")}
        return call, _digest(_CANONICAL(content), 16)

    def _profile(self, dialect: Dialect, call: Call, input_tokens: int) -> ModelProfile:
        request = call.request
        model = self.models.get((dialect.name, request.model))
        if model is None:
            known = ", ".join(name for provider, name in self.models if provider == dialect.name)
            message = f"The model '{request.model}' does not exist; the simulator offers: {known}."
            raise WireError("not_found", message, param="model", code="model_not_found")
        if (request.max_tokens or 0) > model.max_output_tokens:
            limit = model.max_output_tokens
            message = f"max_tokens is too large: {request.max_tokens}; {model.name} allows {limit}."
            raise WireError("invalid_request", message, param="max_tokens")
        if input_tokens > model.context_window:
            message = (
                f"This model's maximum context length is {model.context_window} tokens; "
                f"your messages have {input_tokens}."
            )
            code = "context_length_exceeded"
            raise WireError("invalid_request", message, param="messages", code=code)
        return model

    # -- the answer -------------------------------------------------------------------------------

    def _answer(self, exchange: Exchange, request: HttpRequest, now: float, date: datetime) -> None:
        dialect = exchange.dialect
        key = self._authenticate(dialect, request)
        call, digest = self._decode(dialect, request)
        exchange.stream = call.stream
        messages = call.request.messages
        exchange.input_tokens = count(call.request.text) + _MESSAGE_TOKENS * len(messages)
        model = self._profile(dialect, call, exchange.input_tokens)
        self._seen[digest] += 1
        noise = random.Random(f"{self.seed}/{digest}/noise/{self._seen[digest]}")
        words = random.Random(f"{self.seed}/{digest}")
        natural = min(max(1, round(model.answer_tokens.draw(words))), model.max_output_tokens)
        length = call.request.max_tokens or natural
        if dialect.name == "anthropic":
            length = min(length, natural)
        exchange.model = model
        account = self._account(model, key)
        self._charge(exchange, account, length * call.n, now, date)
        self._break(noise)
        completions = self._write(exchange, call, natural, words, noise)
        output = sum(completion.usage.output_tokens for completion in completions)
        if bucket := account.buckets.get("output-tokens"):  # Anthropic counts what was written
            bucket.take(output - length, now)
        self._schedule(exchange, call, model, completions, noise, int(date.timestamp()))
        self._slots[dialect.name, model.name].admit(exchange, now)

    def _account(self, model: ModelProfile, key: str) -> Account:
        identity = (model.provider, key, model.name)
        if identity not in self._accounts:
            self._accounts[identity] = Account(model.limits)
        return self._accounts[identity]

    def _charge(
        self, exchange: Exchange, account: Account, output_tokens: int, now: float, date: datetime
    ) -> None:
        """Hold the request against its key's limits; the headers tell their state at this instant."""
        cost = {
            "requests": 1.0,
            "tokens": float(exchange.input_tokens + output_tokens),
            "input-tokens": float(exchange.input_tokens),
            "output-tokens": float(output_tokens),
        }
        refused = account.charge(cost, now)
        exchange.headers.update(exchange.dialect.limit_headers(account.states(now), date))
        if refused is None:
            return
        name, wait = refused
        bucket = account.buckets[name]
        if math.isfinite(wait):
            exchange.headers["retry-after"] = str(math.ceil(wait))
            exchange.headers["retry-after-ms"] = str(math.ceil(wait * 1000))
            hint = f" Please try again in {wait:.3g}s."
        else:
            exchange.headers["x-should-retry"] = "false"
            hint = " The request must be made smaller."
        used = bucket.capacity - bucket.level(now)
        message = (
            f"Rate limit reached on {name.replace('-', ' ')} per min: "
            f"Limit {bucket.capacity:.0f}, Used {used:.0f}, Requested {cost[name]:.0f}.{hint}"
        )
        raise WireError("rate_limit", message, param=name)

    def _write(
        self, exchange: Exchange, call: Call, length: int, words: random.Random, noise: random.Random
    ) -> list[Completion]:
        dialect = exchange.dialect
        identity = f"{dialect.id_prefix}{noise.getrandbits(112):028x}"
        try:
            return self._writer.write(
                call,
                words,
                length=length,
                id=identity,
                call_prefix=dialect.call_id_prefix,
                input_tokens=exchange.input_tokens,
            )
        except ConfigurationError as error:
            raise WireError("invalid_request", str(error)) from error

    def _break(self, noise: random.Random) -> None:
        """Draw whether this request fails before it is served."""
        faults = self.faults
        if noise.random() < faults.refuse_rate:
            raise _Broken(Breakage.REFUSED)
        if noise.random() < faults.reset_rate:
            raise _Broken(Breakage.RESET)
        if noise.random() < faults.error_rate:
            raise _failure("server_error")
        if noise.random() < faults.overload_rate:
            raise _failure("overloaded")

    def _schedule(
        self,
        exchange: Exchange,
        call: Call,
        model: ModelProfile,
        completions: Sequence[Completion],
        noise: random.Random,
        created: int,
    ) -> None:
        exchange.status = 200
        prefill = exchange.input_tokens / model.prefill_tokens_per_second
        first = self.edge_latency + model.ttft.draw(noise) + prefill
        origin = noise.randrange(Gaps.SIZE)
        tokens = max(1, *(completion.usage.output_tokens for completion in completions))
        stall_at = noise.randrange(tokens) if noise.random() < self.faults.stall_rate else tokens
        breaks = _StreamFaults.draw(self.faults, noise, tokens) if call.stream else _StreamFaults()
        made = int(min(tokens, breaks.disconnect_at + 1))
        gaps, pause = model.gaps(self.seed), self.faults.stall_seconds
        exchange.schedule = Schedule(gaps, origin, first, made, stall_at, pause)
        exchange.duration = exchange.schedule.last
        if not call.stream:
            body = exchange.dialect.encode_completions(completions, created)
            exchange.parts = [(exchange.duration, body)]
            exchange.head_offset = exchange.duration
            return
        if breaks:
            exchange.outcome, exchange.error = "broken", breaks.name
        exchange.headers["content-type"] = "text/event-stream; charset=utf-8"
        exchange.head_offset = self.edge_latency
        encoder = exchange.dialect.stream_encoder(call, created, exchange.input_tokens)
        chunks = _chunks([list(split(completion)) for completion in completions], encoder)
        parts = zip(exchange.schedule.offsets(), chunks, strict=False)  # it may break off before its end
        spoilt = breaks or self.faults.split_characters
        exchange.parts = breaks.spoil(parts, self.faults.split_characters) if spoilt else parts


def _digest(text: str, size_bytes: int) -> str:
    return hashlib.blake2b(text.encode(), digest_size=size_bytes).hexdigest()


def _chunks(choices: Sequence[Sequence[Event]], encoder: Encoder) -> list[bytes]:
    """The bytes that are due with each token: the head goes with the first, the end with the last."""
    encode = encoder.encode
    heads = [encode(events[0], index) for index, events in enumerate(choices)]
    rows = [[encode(e, index) for e in events[1:-1]] or [b""] for index, events in enumerate(choices)]
    for index, (row, events) in enumerate(zip(rows, choices, strict=True)):
        row[-1] += encode(events[-1], index)
    chunks = [b"".join(column) for column in zip_longest(*rows, fillvalue=b"")]
    chunks[0] = b"".join(heads) + chunks[0]
    chunks[-1] += encoder.end()
    return chunks


@dataclass(frozen=True, slots=True)
class _StreamFaults:
    """Where a stream goes wrong, by the number of the token; beyond its end: nowhere."""

    disconnect_at: float = math.inf
    malformed_at: float = math.inf

    @classmethod
    def draw(cls, faults: Faults, rng: random.Random, tokens: int) -> _StreamFaults:
        """Decide for one stream."""
        at = [
            rng.randrange(tokens) if rng.random() < rate else math.inf
            for rate in (faults.disconnect_rate, faults.malformed_rate)
        ]
        return cls(*at)

    def __bool__(self) -> bool:
        return min(self.disconnect_at, self.malformed_at) < math.inf

    @property
    def name(self) -> str:
        """What the log calls it."""
        return "malformed" if self.malformed_at < self.disconnect_at else "disconnected"

    def spoil(
        self, parts: Iterable[tuple[float, bytes]], split_characters: bool
    ) -> Iterator[tuple[float, bytes | Breakage]]:
        """The parts as they go out."""
        rest = b""
        for token, (offset, chunk) in enumerate(parts):
            if token == self.disconnect_at:
                yield offset, Breakage.DISCONNECTED
                return
            if token == self.malformed_at:
                chunk = chunk[: chunk.index(b"data: ") + 30] + b"\n\n"  # an event that is no JSON
            chunk, rest = (rest + chunk, b"") if not split_characters else _cut(rest + chunk)
            yield offset, chunk
        if rest:
            yield offset, rest


def _cut(chunk: bytes) -> tuple[bytes, bytes]:
    """Cut `chunk` inside its last multi-byte character."""
    for index in range(len(chunk) - 1, 0, -1):
        if chunk[index] >= 0xC0:  # a lead byte
            return chunk[: index + 1], chunk[index + 1 :]
    return chunk, b""


class _Broken(Exception):
    def __init__(self, breakage: Breakage) -> None:
        super().__init__(breakage.value)
        self.breakage = breakage


def _failure(kind: ErrorKind) -> WireError:
    messages = {
        "server_error": "The server had an error while processing your request. Sorry about that!",
        "overloaded": "The servers are currently overloaded. Please try again later.",
    }
    return WireError(kind, messages[kind])

"""The provider itself: what it answers to a request, and when.  No clock, no I/O.

``receive`` decides everything at the instant of arrival, from (seed, state of the account, request, now):
the answer's words, its latency, its place in the queue, what goes wrong.  The result is an
:class:`~workbench.simulator.exchange.Exchange`, a list of what is due when.  The drivers in
:mod:`workbench.simulator.transport` only wait and deliver.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from workbench.errors import ConfigurationError
from workbench.messages import Completion, Request
from workbench.simulator.accounts import Account, TooFast
from workbench.simulator.answers import Script, Writer
from workbench.simulator.exchange import Breakage, Exchange, Schedule
from workbench.simulator.log import RequestLog
from workbench.simulator.models import Faults, Gaps, ModelProfile
from workbench.simulator.reception import HttpRequest, authenticate, check_size, decode, digest_of
from workbench.simulator.slots import Slots
from workbench.simulator.streaming import StreamFaults, chunks
from workbench.tokens import count
from workbench.wire.anthropic import AnthropicDialect
from workbench.wire.dialect import Call, Dialect, ErrorKind, WireError
from workbench.wire.openai import OpenAIDialect

__all__ = ["Engine"]

DIALECTS: dict[str, Dialect] = {"openai": OpenAIDialect(), "anthropic": AnthropicDialect()}
_MESSAGE_TOKENS = 4  # what the chat format adds to each message
_SLACK = 1e-9  # seconds: two readings of a float clock that close are one instant


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

    def log(self, now: float = math.inf) -> RequestLog:
        """All requests so far, as they stand at `now`; by default as they will have ended."""
        return RequestLog([exchange.record(now) for exchange in self._exchanges])

    def receive(self, provider: str, request: HttpRequest, now: float, date: datetime) -> Exchange:
        """Answer `request`, which arrives at `now`.

        Args:
            provider: whose API it was sent to.
            request: what came.
            now: seconds on the simulator's timeline.
            date: the date of that instant.
        """
        dialect = DIALECTS[provider]
        number = len(self._exchanges) + 1
        exchange = Exchange(number, provider, now, f"req_{digest_of(f'{self.seed}/{number}', 12)}")
        exchange.start, exchange.end = now, now + self.edge_latency
        exchange.headers = {
            dialect.request_id_header: exchange.request_id,
            "content-type": "application/json",
        }
        self._exchanges.append(exchange)
        try:
            self._check_outage(now)
            self._answer(exchange, dialect, request, now, date)
        except WireError as error:
            exchange.status, body = dialect.encode_error(error, exchange.request_id)
            exchange.outcome = "failed" if exchange.status >= 500 else "rejected"
            exchange.error = error.kind
            exchange.deliver(self.edge_latency, body)
        except _Broken as broken:
            exchange.outcome, exchange.error = "broken", broken.breakage.name.lower()
            exchange.deliver(self.edge_latency, broken.breakage)
        return exchange

    def cancel(self, exchange: Exchange, now: float) -> list[Exchange]:
        """The client has given up: it closed the connection, was cancelled, or timed out.

        Returns:
            the queued exchanges that will now start earlier than planned.
        """
        if exchange.cancelled_at is not None or now >= exchange.end - _SLACK:
            return []
        exchange.cancelled_at = now
        if exchange.model is None or exchange.schedule is None:
            return []
        return self._slots[exchange.provider, exchange.model.name].leave(exchange, now)

    def _check_outage(self, now: float) -> None:
        for outage in self.faults.outages:
            if outage.start <= now < outage.end:
                if outage.kind == "refuse":
                    raise _Broken(Breakage.REFUSED)
                raise _failure(outage.kind)

    def _answer(
        self, exchange: Exchange, dialect: Dialect, request: HttpRequest, now: float, date: datetime
    ) -> None:
        key = authenticate(dialect, request, self.keys)
        call, digest = decode(dialect, request, self.max_body_bytes)
        exchange.stream = call.stream
        messages = call.request.messages
        exchange.input_tokens = count(call.request.text) + _MESSAGE_TOKENS * len(messages)
        exchange.model = model = self._profile(dialect, call.request, exchange.input_tokens)
        self._seen[digest] += 1
        noise = random.Random(f"{self.seed}/{digest}/noise/{self._seen[digest]}")
        words = random.Random(f"{self.seed}/{digest}")
        natural = min(max(1, round(model.answer_tokens.draw(words))), model.max_output_tokens)
        estimate = call.request.max_tokens or natural
        if dialect.name == "anthropic":
            estimate = min(estimate, natural)
        reserved = estimate * call.n
        account = self._account(model, key)
        self._charge(exchange, dialect, account, reserved, now, date)
        self._break(noise)
        completions = self._write(exchange, dialect, call, natural, words, noise)
        exchange.output_tokens = tuple([completion.usage.output_tokens for completion in completions])
        account.settle(reserved, sum(exchange.output_tokens), now)
        schedule, faults = self._schedule(exchange, call, model, noise)
        exchange.schedule, exchange.duration = schedule, schedule.last
        self._send(exchange, dialect, call, completions, schedule, faults, int(date.timestamp()))
        self._slots[dialect.name, model.name].admit(exchange, now)

    def _profile(self, dialect: Dialect, request: Request, input_tokens: int) -> ModelProfile:
        model = self.models.get((dialect.name, request.model))
        if model is None:
            known = ", ".join(name for provider, name in self.models if provider == dialect.name)
            message = f"The model '{request.model}' does not exist; the simulator offers: {known}."
            raise WireError("not_found", message, code="model_not_found")
        check_size(model, request, input_tokens)
        return model

    def _account(self, model: ModelProfile, key: str) -> Account:
        identity = (model.provider, key, model.name)
        if identity not in self._accounts:
            self._accounts[identity] = Account(model.limits)
        return self._accounts[identity]

    def _charge(
        self,
        exchange: Exchange,
        dialect: Dialect,
        account: Account,
        output_tokens: int,
        now: float,
        date: datetime,
    ) -> None:
        """Hold the request against its key's limits; the headers tell their state at this instant."""
        headers = exchange.headers
        try:
            account.charge(exchange.input_tokens, output_tokens, now)
        except TooFast as refused:
            patient = refused.wait_seconds < math.inf
            wait = dialect.retry_headers(refused.wait_seconds) if patient else {"x-should-retry": "false"}
            headers.update(wait)
            raise
        finally:
            headers.update(dialect.limit_headers(account.states(now), date))

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

    def _write(
        self,
        exchange: Exchange,
        dialect: Dialect,
        call: Call,
        length: int,
        words: random.Random,
        noise: random.Random,
    ) -> list[Completion]:
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

    def _schedule(
        self, exchange: Exchange, call: Call, model: ModelProfile, noise: random.Random
    ) -> tuple[Schedule, StreamFaults]:
        """Decide when each token is made, and with which one a stream goes wrong."""
        faults = self.faults
        prefill = exchange.input_tokens / model.prefill_tokens_per_second
        first = self.edge_latency + model.ttft.draw(noise) + prefill
        origin = noise.randrange(Gaps.SIZE)
        tokens = max(1, *exchange.output_tokens)
        stall_at = noise.randrange(tokens) if noise.random() < faults.stall_rate else tokens
        spoilt = StreamFaults.draw(faults, noise, tokens) if call.stream else StreamFaults()
        made = int(min(tokens, spoilt.disconnect_at + 1))
        gaps, pause = model.gaps(self.seed), faults.stall_seconds
        return Schedule(gaps, origin, first, made, stall_at, pause), spoilt

    def _send(
        self,
        exchange: Exchange,
        dialect: Dialect,
        call: Call,
        completions: Sequence[Completion],
        schedule: Schedule,
        faults: StreamFaults,
        created: int,
    ) -> None:
        """Put the answer into the provider's words, whole or as a stream."""
        exchange.status = 200
        if not call.stream:
            exchange.deliver(schedule.last, dialect.encode_completions(completions, created))
            return
        exchange.headers["content-type"] = "text/event-stream; charset=utf-8"
        exchange.head_offset = self.edge_latency
        encoder = dialect.stream_encoder(call, created, exchange.input_tokens)
        offsets = schedule.offsets()
        parts = zip(offsets, chunks(completions, encoder), strict=False)  # it may break off before its end
        exchange.parts = faults.spoil(parts) if faults else parts
        if faults.first < math.inf:
            exchange.outcome, exchange.error = "broken", faults.name
            exchange.spoilt_offset = offsets[int(faults.first)]


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

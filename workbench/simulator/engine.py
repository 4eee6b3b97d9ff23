"""The provider itself: what it answers to a request, and when.  No clock, no I/O.

``receive`` decides everything at the instant of arrival, from (seed, state of the account, request, now):
the answer's words, its latency, its place in the queue, what goes wrong.  The result is an
:class:`~workbench.simulator.exchange.Exchange`, a list of what is due when.  The drivers in
:mod:`workbench.simulator.transport` only wait and deliver.

What each endpoint does stands in a module for each API (``openai_api``, ``anthropic_api``), how a model is
asked in ``asking``, and what goes wrong in ``failing``; what is kept between two requests is here.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from workbench.messages import Usage
from workbench.simulator import anthropic_api, openai_api
from workbench.simulator.accounts import Account, Accounts
from workbench.simulator.answers import Script, Writer
from workbench.simulator.exchange import Exchange, Job, Schedule
from workbench.simulator.failing import Broken, check_outages
from workbench.simulator.log import RequestLog
from workbench.simulator.models import Faults, ModelProfile, RateLimits
from workbench.simulator.prompt_cache import PromptCache
from workbench.simulator.reception import (
    HttpRequest,
    Keys,
    Router,
    Visit,
    authenticate,
    authorize,
    digest_of,
)
from workbench.simulator.slots import SLACK, Place, Slots
from workbench.simulator.store import Shelf
from workbench.wire.anthropic import AnthropicDialect
from workbench.wire.dialect import Dialect, WireError, encode_json, milliseconds
from workbench.wire.openai import OpenAIDialect

__all__ = ["Engine"]

DIALECTS: dict[str, Dialect] = {"openai": OpenAIDialect(), "anthropic": AnthropicDialect()}
_ROUTERS = {"openai": Router(openai_api.ROUTES), "anthropic": Router(anthropic_api.ROUTES)}


class Engine:
    """A simulated provider of both APIs.

    Args:
        seed: of everything that is random.
        models: the models that it offers.
        faults: what goes wrong, and how often.
        script: what the models say, instead of their own words.
        keys: the API keys that are accepted, with their scopes; None: any key is, for everything.
        edge_latency: seconds that every answer takes besides the model, errors too.
        max_body_bytes: a larger request is refused with 413.
        key_limits: of single keys, in place of each model's own.
        budget: dollars that each key may spend.
        lenient: answers for what it has never heard of (models, stored objects) as if it had.
        float_embeddings: answers by numbers where embeddings are asked for in base64.
    """

    def __init__(
        self,
        *,
        seed: int,
        models: Sequence[ModelProfile],
        faults: Faults,
        script: Script | None,
        keys: Keys | None,
        edge_latency: float,
        max_body_bytes: int,
        key_limits: Mapping[str, RateLimits] | None = None,
        budget: float | None = None,
        lenient: bool = False,
        float_embeddings: bool = False,
    ) -> None:
        self.seed, self.keys, self.lenient = seed, keys, lenient
        self.faults = self._faults_by_time = faults
        self.float_embeddings = float_embeddings
        self.edge_latency, self.max_body_bytes = edge_latency, max_body_bytes
        self.models: dict[tuple[str, str], ModelProfile] = {(m.provider, m.name): m for m in models}
        self.writer = Writer(script)
        self._slots: dict[tuple[str, str], Slots[Place]] = {}
        self._withdrawn: set[tuple[str, str]] = set()
        self.accounts = Accounts(key_limits or {}, budget)
        self._caches: dict[tuple[str, str, str], PromptCache] = {}
        self._shelves: defaultdict[tuple[str, str, str], Shelf] = defaultdict(Shelf)
        self._seen: Counter[str] = Counter()
        self._spare: list[random.Random] = []
        self.exchanges: list[Exchange] = []

    def log(self, now: float = math.inf) -> RequestLog:
        """All requests so far, as they stand at `now`; by default as they will have ended."""
        return RequestLog([exchange.record(now) for exchange in self.exchanges])

    def receive(self, provider: str, request: HttpRequest, now: float, date: datetime) -> Exchange:
        """Answer `request`, which arrives at `now`.

        Args:
            provider: whose API it was sent to.
            request: what came.
            now: seconds on the simulator's timeline.
            date: the date of that instant.
        """
        dialect = DIALECTS[provider]
        number = len(self.exchanges) + 1
        exchange = Exchange(number, provider, now, f"req_{digest_of(f'{self.seed}/{number}', 12)}")
        exchange.start, exchange.end = now, now + self.edge_latency
        exchange.headers = {
            dialect.request_id_header: exchange.request_id,
            **dialect.headers,
            "content-type": "application/json",
        }
        self.exchanges.append(exchange)
        self.faults = self._faults_by_time.at(now)
        try:
            check_outages(self.faults, now)
            self._let_in(exchange, dialect, request, now, date)
        except WireError as error:
            exchange.status, body = dialect.encode_error(error, exchange.request_id)
            exchange.outcome = "failed" if exchange.status >= 500 else "rejected"
            exchange.error = error.kind
            exchange.deliver(self.edge_latency, body)
        except Broken as broken:
            exchange.outcome, exchange.error = "broken", broken.breakage.name.lower()
            exchange.deliver(self.edge_latency, broken.breakage)
        if dialect.timing_header is not None:
            exchange.headers[dialect.timing_header] = str(milliseconds(exchange.head_offset))
        return exchange

    def _let_in(
        self, exchange: Exchange, dialect: Dialect, request: HttpRequest, now: float, date: datetime
    ) -> None:
        key = authenticate(dialect, request, self.keys)
        if request.size_bytes > self.max_body_bytes:
            limit = f"{self.max_body_bytes:,} bytes"
            raise WireError("too_large", f"The request exceeds the maximum size of {limit}.")
        route, parameters = _ROUTERS[dialect.name].find(request)
        exchange.route = f"{route.method} {route.template}"
        if dialect.name == "anthropic" and request.header("anthropic-version") is None:
            raise WireError("invalid_request", "anthropic-version: header is required")
        authorize(key, route.scope, self.keys)
        route.handle(self, Visit(exchange, dialect, request, key, parameters, now, date))

    def cancel(self, exchange: Exchange, now: float) -> list[Exchange]:
        """The client has given up: it closed the connection, was cancelled, or timed out.

        Returns:
            the queued exchanges that will now start earlier than planned.
        """
        if exchange.cancelled_at is not None or now >= exchange.complete_at - SLACK:
            return []
        exchange.cancelled_at = now
        if exchange.model is None or exchange.schedule is None:
            return []
        return self._leave(exchange.model, exchange, now)  # its job, if it has one, goes on

    def stop(self, visit: Visit, model: ModelProfile, job: Job) -> None:
        """Stop a job, for `visit`; its place is free."""
        job.stopped_at = visit.now
        visit.exchange.moved_up = self._leave(model, job, visit.now)

    def _leave(self, model: ModelProfile, place: Place, now: float) -> list[Exchange]:
        moved = self.slots(model).leave(place, now)
        return [place for place in moved if isinstance(place, Exchange)]

    # -- what endpoints use -----------------------------------------------------------------------------

    def reply(
        self, visit: Visit, body: dict[str, Any] | bytes, status: int = 200, *, after: float | None = None
    ) -> None:
        """Answer at once, from what is known, or `after` seconds of service."""
        visit.exchange.status = status
        data = body if isinstance(body, bytes) else encode_json(body)
        visit.exchange.deliver(self.edge_latency if after is None else after, data)

    def shelf(self, visit: Visit, kind: str) -> Shelf:
        """The objects of that kind that the visitor's key has stored."""
        return self._shelves[visit.dialect.name, visit.key, kind]

    def cache(self, visit: Visit, model: ModelProfile) -> PromptCache:
        """What `model` keeps of the prompts of the visitor's key."""
        identity = (model.provider, visit.key, model.name)
        if identity not in self._caches:
            self._caches[identity] = PromptCache(model.cache_minimum_tokens)
        return self._caches[identity]

    def slots(self, model: ModelProfile) -> Slots[Place]:
        """The places in which `model` serves."""
        identity = (model.provider, model.name)
        if identity not in self._slots:
            self._slots[identity] = Slots(model.slots)
        return self._slots[identity]

    def offered(self, provider: str) -> list[ModelProfile]:
        """The provider's models."""
        return [model for model in self.models.values() if model.provider == provider]

    def withdraw(self, provider: str, name: str) -> None:
        """Offer the model of that name no more."""
        if self.models.pop((provider, name), None) is not None:
            self._withdrawn.add((provider, name))

    def profile(self, provider: str, name: str, *, embeds: bool | None = None) -> ModelProfile:
        """The model of that name.

        Args:
            provider: whose it is.
            name: of the model.
            embeds: it must, or must not, be one that makes embeddings; None: either will do.

        Raises:
            WireError: there is none, or it is of the other kind.
        """
        if (model := self.models.get((provider, name))) is not None:
            if embeds not in (None, model.dimensions is not None):
                does = "makes" if embeds is False else "makes no"
                message = f"The model '{name}' {does} embeddings and is not supported by this endpoint."
                raise WireError("not_found", message, param="model", code="model_not_found")
            return model
        known = [m for m in self.offered(provider) if embeds in (None, m.dimensions is not None)]
        if self.lenient and (provider, name) not in self._withdrawn:
            return known[0].model_copy(update={"name": name})
        message = f"The model '{name}' does not exist; the simulator offers: "
        message += f"{', '.join(model.name for model in known)}."
        raise WireError("not_found", message, code="model_not_found")

    def admit(
        self, visit: Visit, model: ModelProfile, account: Account, schedule: Schedule, usage: Usage
    ) -> None:
        """Give the exchange, or its job, its place in the queue of `model`, and bill it."""
        exchange = visit.exchange
        exchange.schedule, exchange.place.duration = schedule, schedule.last
        self.slots(model).admit(exchange.place, visit.now)
        account.enter(exchange)
        self.accounts.bill(model.provider, visit.key, model.cost(usage))

    def noise(self, digest: str) -> random.Random:
        """What is random about a request; other than its words, it differs when it is sent again."""
        self._seen[digest] += 1
        return self.draw_from(f"{self.seed}/{digest}/noise/{self._seen[digest]}")

    def draw_from(self, seed: str) -> random.Random:
        """The same as ``random.Random(seed)``, which seeds itself twice when it is made."""
        rng = self._spare.pop() if self._spare else random.Random(0)
        rng.seed(seed)
        return rng

    def give_back(self, *generators: random.Random) -> None:
        """Nobody draws from these any more."""
        self._spare += generators

    def charge(self, visit: Visit, model: ModelProfile, reserved: Callable[[], int]) -> Account:
        """Hold the request against its key's limits; the headers tell their state at this instant."""
        if self.accounts.is_spent(model.provider, visit.key):
            raise WireError("quota", visit.dialect.spent_message)
        account, headers, dialect = self.accounts.of(visit.key, model), visit.exchange.headers, visit.dialect
        free = visit.exchange.cached_tokens if dialect.caches_on_demand else 0
        excess = account.charge(visit.exchange.input_tokens - free, reserved, visit.now)
        headers.update(dialect.limit_headers(account.states(visit.now), visit.date))
        if excess is None:
            return account
        if excess.hopeless:
            headers["x-should-retry"] = "false"
        elif excess.wait_seconds is not None:
            headers.update(dialect.retry_headers(excess.wait_seconds))
        raise WireError("rate_limit", dialect.limit_message(excess), param=excess.limit.name)

"""Asking a model: what it answers, when it makes each token, and what that costs.

Everything random about an answer comes from two sources: `words` depends on what is asked alone, `noise`
(latency, faults, ids) differs when the same is asked again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import ConfigurationError
from workbench.messages import Completion
from workbench.simulator.answers import Words
from workbench.simulator.exchange import Job, Schedule
from workbench.simulator.failing import fail, spoil
from workbench.simulator.models import Gaps, ModelProfile
from workbench.simulator.prompt_cache import PromptCache
from workbench.simulator.reception import Visit, check_size, input_tokens
from workbench.simulator.streaming import StreamFaults
from workbench.simulator.work import Work
from workbench.wire.dialect import Call, Format, WireError, encode_json

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ask", "ask_apart", "generate", "send"]

_UNSPOILT = StreamFaults()


@dataclass(slots=True)
class _Draft:
    """A request that has been read: what decides its answer."""

    form: Format
    call: Call
    model: ModelProfile
    cache: PromptCache
    words: Words
    noise: random.Random


def generate(engine: Engine, visit: Visit, form: Format) -> Work:
    """Ask the model that the request names, in the words of `form`, and send what it says."""
    work = ask(engine, visit, form)
    send(engine, visit, work)
    return work


def ask(engine: Engine, visit: Visit, form: Format, job: Job | None = None) -> Work:
    """Decide what the model answers and when; the exchange, or its job, takes its place in the queue."""
    visit.exchange.job = job
    draft = _read(engine, visit, form)

    def reserved() -> int:
        estimate = draft.call.request.max_tokens or draft.words.length
        if visit.dialect.name == "anthropic":
            estimate = min(estimate, draft.words.length)
        return estimate * draft.call.n

    account = engine.charge(visit, draft.model, reserved)
    fail(engine.faults, draft.noise)
    work = _answer(engine, visit, draft)
    usage = work.usage
    account.settle(reserved, usage.output_tokens, visit.now)
    engine.admit(visit, draft.model, account, work.schedule, usage)
    return work


def ask_apart(engine: Engine, visit: Visit, form: Format) -> Work:
    """The same apart from what is asked live: at half the price, no limit, no fault and no queue."""
    draft, exchange = _read(engine, visit, form), visit.exchange
    work = _answer(engine, visit, draft)
    exchange.schedule, exchange.duration = work.schedule, work.schedule.last
    engine.accounts.bill(draft.model.provider, visit.key, draft.model.cost(work.usage) / 2)
    return work


def send(engine: Engine, visit: Visit, work: Work) -> None:
    """Send the answer, whole or as a stream."""
    exchange = visit.exchange
    if work.call.stream:
        encoder = work.form.stream(work.call, work.created, exchange.input_tokens)
        exchange.stream_from(engine.edge_latency, spoil(visit, work, work.parts(encoder)))
    else:
        exchange.status = 200
        exchange.deliver(exchange.duration, encode_json(work.encode()))


def _read(engine: Engine, visit: Visit, form: Format) -> _Draft:
    """Understand what is asked, and how much of it is known already."""
    exchange = visit.exchange
    body = visit.json()
    call, digest = form.decode(body), visit.digest(body)
    exchange.stream = call.stream
    exchange.input_tokens = size = input_tokens(call.request)
    model = engine.profile(visit.dialect.name, call.request.model, embeds=False)
    check_size(model, call.request, size, form)
    exchange.model = model
    noise, words = engine.noise(digest), Words(lambda: engine.draw_from(f"{engine.seed}/{digest}"), model)
    cache = engine.cache(visit, model)
    exchange.cached_tokens = min(cache.find(call.prefixes, visit.now), size)
    return _Draft(form, call, model, cache, words, noise)


def _answer(engine: Engine, visit: Visit, draft: _Draft) -> Work:
    """Write the answer, and decide when each token is made."""
    exchange, call = visit.exchange, draft.call
    kept = min(draft.cache.keep(call.prefixes, visit.now, exchange), exchange.input_tokens)
    written = max(0, kept - exchange.cached_tokens) if visit.dialect.caches_on_demand else 0
    prompt = {
        "input_tokens": exchange.input_tokens,
        "cached_tokens": exchange.cached_tokens,
        "cache_write_tokens": written,
    }
    completions = _write(engine, draft, prompt)
    exchange.output_tokens = tuple([completion.usage.output_tokens for completion in completions])
    tokens = max(1, *exchange.output_tokens)
    prefill = (exchange.input_tokens - exchange.cached_tokens) / draft.model.prefill_tokens_per_second
    first = engine.edge_latency + draft.model.ttft.draw(draft.noise) + prefill
    schedule, faults = _schedule(engine, draft, first, tokens, broken_off=exchange.job is None)
    engine.give_back(draft.noise, *draft.words.generators())
    return Work(draft.form, call, completions, schedule, faults, int(visit.date.timestamp()))


def _write(engine: Engine, draft: _Draft, prompt: dict[str, int]) -> list[Completion]:
    form, model, noise = draft.form, draft.model, draft.noise
    identity = f"{form.id_prefix}{noise.getrandbits(112):028x}"
    refusals, mistakes = engine.faults.refusal_rate, engine.faults.invalid_output_rate
    try:
        return engine.writer.write(
            draft.call,
            draft.words,
            room=max(1, model.context_window - prompt["input_tokens"]),
            id=identity,
            call_prefix=form.call_id_prefix,
            prompt=prompt,
            refuse=refusals > 0 and noise.random() < refusals,
            spoil=noise if mistakes > 0 and noise.random() < mistakes else None,
        )
    except ConfigurationError as error:
        raise WireError("invalid_request", str(error)) from error


def _schedule(
    engine: Engine, draft: _Draft, first: float, tokens: int, *, broken_off: bool
) -> tuple[Schedule, StreamFaults]:
    """Decide when each token is made, and with which one a stream goes wrong.

    Args:
        engine: whose faults there are.
        draft: what is asked.
        first: when the first token is made, in seconds after the start of the service.
        tokens: how many there are to be.
        broken_off: whether a stream that breaks off ends the work on it, too.
    """
    noise, faults = draft.noise, engine.faults
    origin = noise.randrange(Gaps.SIZE)
    stall_at = noise.randrange(tokens) if noise.random() < faults.stall_rate else tokens
    spoilt = StreamFaults.draw(faults, noise, tokens) if draft.call.stream else _UNSPOILT
    made = int(min(tokens, spoilt.last + 1)) if broken_off else tokens
    gaps = draft.model.gaps(engine.seed)
    return Schedule(gaps, origin, first, made, stall_at, faults.stall_seconds), spoilt

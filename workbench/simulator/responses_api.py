"""OpenAI's Responses API: what each of its endpoints does for a request.

A response is kept, unless it shall not be, with all that its model read, so that another can go on with it.
One that is made in the background is a job: it has its place in the model's queue, and whoever asks for it is
shown how far it is at that instant.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from workbench.events import Started
from workbench.messages import Completion, Usage
from workbench.simulator.asking import ask, generate, send
from workbench.simulator.exchange import Exchange, Job, Part, Schedule
from workbench.simulator.failing import spoil
from workbench.simulator.models import ModelProfile
from workbench.simulator.openai_lists import list_page
from workbench.simulator.prose import write
from workbench.simulator.reception import Route, Visit, digest_of, input_tokens
from workbench.simulator.slots import SLACK
from workbench.simulator.store import Item, Shelf
from workbench.simulator.streaming import StreamFaults
from workbench.simulator.work import Work
from workbench.wire.dialect import Call, Format, WireError
from workbench.wire.responses_answer import encode_compaction, encode_completions, in_progress, unfinished
from workbench.wire.responses_request import decode_compact, decode_request
from workbench.wire.responses_shapes import identify
from workbench.wire.responses_stream import StreamEncoder

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ROUTES"]

_REFERENCE = "item_reference"
_MADE_UP_TOKENS, _MADE_UP_DATE = 20, 1_735_689_600


@dataclass(slots=True, kw_only=True)
class _Stored(Item):
    """A response that is kept; its `body` is what it is in the end.

    Args:
        context: the items that its model read, those of earlier responses included.
        model: that makes it.
        job: the work on it in the background, if it is made there.
        work: what that makes; None: nothing, it fails.
    """

    context: Sequence[dict[str, Any]]
    model: ModelProfile | None
    job: Job | None = None
    work: Work | None = None

    def shown(self, now: float) -> dict[str, Any]:
        """The response as it is at `now`."""
        job = self.job
        if job is None or job.end <= min(now + SLACK, job.stopped_at):
            return self.body
        if job.stopped_at <= now:
            return unfinished(self.body, "cancelled")
        return unfinished(self.body, "queued" if now < job.start else "in_progress")


# -- making ------------------------------------------------------------------------------------------------


def _create(engine: Engine, visit: Visit) -> None:
    form, job = _form(engine, visit), None
    if visit.json().get("background") is True:
        job = Job()
    try:
        work = ask(engine, visit, form, job)
    except WireError as error:
        if job is None or error.kind != "server_error":
            raise
        _fail(engine, visit, form, job, error.message)
        return
    body = work.encode()
    _keep(engine, visit, work.call, body, job, work)
    if job is None:
        send(engine, visit, work)
    elif work.call.stream:
        _follow(engine, visit, job, work, faulty=True)
    else:
        engine.reply(visit, unfinished(body, "queued"))


def _fail(engine: Engine, visit: Visit, form: Format, job: Job, error: str) -> None:
    """Accept a job that fails as soon as it is begun: its client learns of it when it asks."""
    call, exchange = form.decode(visit.json()), visit.exchange
    exchange.outcome, exchange.error = "failed", "server_error"
    job.start = job.end = visit.now + engine.edge_latency
    identity = f"{form.id_prefix}{digest_of(exchange.request_id, 14)}"
    body = in_progress(identity, call.request.model, call, int(visit.date.timestamp()))
    _keep(engine, visit, call, unfinished(body, "failed", error), job)
    engine.reply(visit, unfinished(body, "queued"))


def _keep(
    engine: Engine,
    visit: Visit,
    call: Call,
    body: dict[str, Any],
    job: Job | None,
    work: Work | None = None,
) -> None:
    if call.options["store"]:
        context = [*call.options["history"], *identify(call.options["input"], body["id"])]
        maker, work = (None, work) if job else (visit.exchange, None)
        model = visit.exchange.model
        stored = _Stored(body["id"], body, maker, context=context, model=model, job=job, work=work)
        _shelf(engine, visit).put(stored)


def _compact(engine: Engine, visit: Visit) -> None:
    generate(engine, visit, _form(engine, visit, decode_compact, encode_compaction))


def _count(engine: Engine, visit: Visit) -> None:
    body = {"model": engine.offered("openai")[0].name} | visit.json()
    call = _decode(engine, visit, decode_request, body)
    tokens = input_tokens(call.request)
    engine.reply(visit, {"object": "response.input_tokens", "input_tokens": tokens})


def _form(
    engine: Engine,
    visit: Visit,
    understand: Callable[..., Call] = decode_request,
    encode: Callable[[Call, Sequence[Completion], int], dict[str, object]] = encode_completions,
) -> Format:
    decode = partial(_decode, engine, visit, understand)
    return Format("resp_", "call_", decode, encode, StreamEncoder, prompt="input", limit="max_output_tokens")


def _decode(engine: Engine, visit: Visit, understand: Callable[..., Call], body: dict[str, Any]) -> Call:
    """Understand a request, with the conversation that it goes on with."""
    if isinstance(items := body.get("input"), list):
        body = body | {"input": [_dereference(engine, visit, item) for item in items]}
    history: list[dict[str, Any]] = []
    if isinstance(previous := body.get("previous_response_id"), str):
        history = _history(engine, visit, previous)
    if engine.lenient:
        return understand({"model": engine.offered("openai")[0].name, "input": ""} | body, history)
    for name in ("conversation", "prompt"):
        if given := body.get(name):
            identity = given.get("id") if isinstance(given, dict) else given
            message = f"{name.title()} with id '{identity}' not found."
            raise WireError("not_found", message, param=name)
    return understand(body, history)


def _history(engine: Engine, visit: Visit, previous: str) -> list[dict[str, Any]]:
    param = "previous_response_id"
    try:
        stored = _find(engine, visit, previous)
    except WireError as error:
        message, code = f"Previous response with id '{previous}' not found.", "previous_response_not_found"
        raise WireError("invalid_request", message, param=param, code=code) from error
    response = stored.shown(visit.now)
    if response["status"] in ("queued", "in_progress"):
        message = f"Previous response with id '{previous}' is still {response['status']}."
        raise WireError("invalid_request", message, param=param)
    return [*stored.context, *response["output"]]


def _dereference(engine: Engine, visit: Visit, item: Any) -> Any:
    """An item as it was kept, if `item` only names it."""
    if not isinstance(item, dict) or "role" in item or item.get("type", _REFERENCE) != _REFERENCE:
        return item
    for stored in _shelf(engine, visit).items(visit.now):
        assert isinstance(stored, _Stored), "no other items are put there"
        for kept in (*stored.context, *stored.shown(visit.now)["output"]):
            if kept["id"] == item.get("id"):
                return kept
    message = f"Item with id '{item.get('id')}' not found. Items are not kept when `store` is set to false."
    raise WireError("not_found", message, param="input")


# -- what is kept ------------------------------------------------------------------------------------------


def _shelf(engine: Engine, visit: Visit) -> Shelf:
    return engine.shelf(visit, "response")


def _find(engine: Engine, visit: Visit, identity: str) -> _Stored:
    shelf = _shelf(engine, visit)
    stored = shelf.get(identity, visit.now)
    if isinstance(stored, _Stored):
        return stored
    if engine.lenient and not shelf.was_deleted(identity):
        return _make_up(engine, visit, identity)
    raise WireError("not_found", f"Response with id '{identity}' not found.")


def _make_up(engine: Engine, visit: Visit, identity: str) -> _Stored:
    """A response that nobody has asked for, made long ago in the background."""
    form, model = _form(engine, visit), engine.offered("openai")[0]
    call = decode_request({"model": model.name, "input": "?", "background": True, "stream": True})
    rng = random.Random(f"{engine.seed}/{identity}")
    prose = write(call.request, rng, _MADE_UP_TOKENS)
    size = prose.tokens
    usage = Usage(input_tokens=input_tokens(call.request), output_tokens=size)
    completion = Completion(id=identity, model=model.name, text=prose.text, usage=usage)
    schedule = Schedule(model.gaps(engine.seed), 0, 0.0, size, size, 0.0)
    work = Work(form, call, [completion], schedule, StreamFaults(), _MADE_UP_DATE)
    job = Job(start=-math.inf, end=-math.inf)
    context = identify(call.options["input"], identity)
    return _Stored(identity, work.encode(), context=context, model=model, job=job, work=work)


def _retrieve(engine: Engine, visit: Visit) -> None:
    stored, query = _find(engine, visit, visit.parameters["id"]), visit.query()
    if query.get("stream") != "true":
        engine.reply(visit, stored.shown(visit.now))
        return
    after = query.get("starting_after", "-1")
    if not re.fullmatch("-?[0-9]{1,9}", after):
        message = f"Invalid type for 'starting_after': expected an integer, but got '{after}' instead."
        raise WireError("invalid_request", message, param="starting_after", code="invalid_type")
    job, work = stored.job, stored.work
    if job is None or work is None or not work.call.stream:
        wanted = "background=true and stream=true"
        message = f"Only a response that was created with {wanted} can be streamed when it is retrieved."
        raise WireError("invalid_request", message, param="stream")
    _follow(engine, visit, job, work, int(after))


def _delete(engine: Engine, visit: Visit) -> None:
    identity, shelf = visit.parameters["id"], _shelf(engine, visit)
    _find(engine, visit, identity)
    if shelf.get(identity, visit.now):
        shelf.delete(identity)
    engine.reply(visit, {"id": identity, "object": "response", "deleted": True})


def _cancel(engine: Engine, visit: Visit) -> None:
    stored = _find(engine, visit, visit.parameters["id"])
    if (job := stored.job) is None:
        raise WireError("invalid_request", "Cannot cancel a synchronous response.")
    if visit.now < job.over - SLACK and stored.model is not None:
        engine.stop(visit, stored.model, job)
    engine.reply(visit, stored.shown(visit.now))


def _list_input(engine: Engine, visit: Visit) -> None:
    items = Shelf()
    for item in _find(engine, visit, visit.parameters["id"]).context:
        items.put(Item(item["id"], item))
    engine.reply(visit, list_page(visit, items, order="desc", lenient=engine.lenient))


# -- streams of jobs ---------------------------------------------------------------------------------------


def _follow(
    engine: Engine, visit: Visit, job: Job, work: Work, after: int = -1, *, faulty: bool = False
) -> None:
    """Send a job's stream behind its event number `after`: what there is at once, the rest as it comes."""
    encoder = StreamEncoder(work.call, work.created, 0, after)
    first = work.completions[0]
    head = encoder.queue(Started(id=first.id, model=first.model))
    visit.exchange.job = job
    tokens, edge = work.parts(encoder), engine.edge_latency
    parts = spoil(visit, work, tokens) if faulty else tokens
    live = _live(visit.exchange, job, edge, chain([(-math.inf, head)], parts))
    visit.exchange.stream_from(edge, live)


def _live(exchange: Exchange, job: Job, edge: float, parts: Iterable[Part]) -> Iterator[Part]:
    """What is due when: a stream that waits for its first token does not learn that its job has moved up."""
    for offset, part in parts:
        made = job.start + offset
        if made > job.stopped_at:
            return
        if part:
            due = max(made, exchange.start + edge)
            exchange.end = max(exchange.end, due)
            yield due - exchange.start, part


ROUTES = (
    Route("POST", "/v1/responses", "api.responses.write", _create),
    Route("POST", "/v1/responses/compact", "api.responses.write", _compact),
    Route("POST", "/v1/responses/input_tokens", "api.responses.write", _count),
    Route("GET", "/v1/responses/{id}", "api.responses.read", _retrieve),
    Route("DELETE", "/v1/responses/{id}", "api.responses.write", _delete),
    Route("POST", "/v1/responses/{id}/cancel", "api.responses.write", _cancel),
    Route("GET", "/v1/responses/{id}/input_items", "api.responses.read", _list_input),
)

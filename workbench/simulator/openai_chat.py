"""OpenAI's chat completions: made, and those that are stored."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from workbench.messages import Completion, Message, Request
from workbench.simulator.asking import generate
from workbench.simulator.openai_lists import list_page
from workbench.simulator.prose import write
from workbench.simulator.reception import Route, Visit
from workbench.simulator.store import Item, Shelf
from workbench.wire.dialect import Call, WireError, WireModel
from workbench.wire.openai import CHAT, LENIENT_CHAT
from workbench.wire.openai_body import Metadata, refusal

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ROUTES"]

_FILTER = re.compile(r"metadata\[(.+)\]")
_IMAGINED_TOKENS = 20


class _Update(WireModel):
    metadata: Metadata | None


def _create(engine: Engine, visit: Visit) -> None:
    work = generate(engine, visit, LENIENT_CHAT if engine.lenient else CHAT)
    if not work.call.options["store"]:
        return
    identity, maker = work.completions[0].id, visit.exchange
    noted = {"request_id": maker.request_id, "metadata": work.call.options["metadata"]}
    engine.shelf(visit, "chat completions").put(Item(identity, {**work.encode(), **noted}, maker))
    messages = _messages(engine, visit, identity)
    for index, message in enumerate(visit.json()["messages"]):
        one = f"{identity}-{index}"
        messages.put(Item(one, _encode_message(one, message), maker))


def _messages(engine: Engine, visit: Visit, identity: str) -> Shelf:
    return engine.shelf(visit, f"messages of {identity}")


def _encode_message(identity: str, message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    parts, text = (content, None) if isinstance(content, list) else (None, content)
    return {"name": None, **message, "id": identity, "content": text, "content_parts": parts}


def _stored(engine: Engine, visit: Visit) -> Item:
    """The completion that the path names."""
    identity, shelf = visit.parameters["id"], engine.shelf(visit, "chat completions")
    if (item := shelf.get(identity, visit.now)) is not None:
        return item
    if engine.lenient and not shelf.was_deleted(identity):
        return Item(identity, _imagine(engine, identity))
    raise WireError("not_found", f"Chat completion with id '{identity}' not found.", param="completion_id")


def _imagine(engine: Engine, identity: str) -> dict[str, Any]:
    """A completion that nobody has made."""
    model = engine.offered("openai")[0]
    request = Request(model=model.name, messages=(Message(role="user", content=identity),))
    prose = write(request, random.Random(f"{engine.seed}/{identity}"), _IMAGINED_TOKENS)
    answer = Completion(id=identity, model=model.name, text=prose.text)
    return {**CHAT.encode(Call(request), [answer], 0), "metadata": {}}


def _list(engine: Engine, visit: Visit) -> None:
    query = visit.query()
    noted: dict[str, str] = {
        match[1]: value for name, value in query.items() if (match := _FILTER.fullmatch(name))
    }

    def is_meant(body: dict[str, Any]) -> bool:
        return query.get("model") in (None, body["model"]) and noted.items() <= body["metadata"].items()

    shelf = engine.shelf(visit, "chat completions")
    engine.reply(visit, list_page(visit, shelf, where=is_meant, lenient=engine.lenient))


def _retrieve(engine: Engine, visit: Visit) -> None:
    engine.reply(visit, _stored(engine, visit).body)


def _update(engine: Engine, visit: Visit) -> None:
    item = _stored(engine, visit)
    try:
        update = _Update.model_validate(visit.json())
    except ValidationError as error:
        raise refusal(error) from error
    item.body["metadata"] = update.metadata or {}
    engine.reply(visit, item.body)


def _delete(engine: Engine, visit: Visit) -> None:
    identity, shelf = _stored(engine, visit).id, engine.shelf(visit, "chat completions")
    if shelf.get(identity, visit.now) is not None:
        shelf.delete(identity)
    engine.reply(visit, {"object": "chat.completion.deleted", "id": identity, "deleted": True})


def _list_messages(engine: Engine, visit: Visit) -> None:
    identity = _stored(engine, visit).id
    engine.reply(visit, list_page(visit, _messages(engine, visit, identity), lenient=engine.lenient))


_ALL, _ONE = "/v1/chat/completions", "/v1/chat/completions/{id}"
_READ, _WRITE = "chat.completions.read", "chat.completions.write"

ROUTES = (
    Route("POST", _ALL, "model.request", _create),
    Route("GET", _ALL, _READ, _list),
    Route("GET", _ONE, _READ, _retrieve),
    Route("POST", _ONE, _WRITE, _update),
    Route("DELETE", _ONE, _WRITE, _delete),
    Route("GET", f"{_ONE}/messages", _READ, _list_messages),
)

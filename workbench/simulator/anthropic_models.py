"""Anthropic's models: what is offered, and what each can do."""

from __future__ import annotations

import re
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from workbench.simulator.anthropic_lists import encode_page, list_page
from workbench.simulator.models import ModelProfile
from workbench.simulator.reception import Route, Visit
from workbench.simulator.store import Item, Shelf

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ROUTES"]

_LINES = ("haiku", "sonnet", "opus", "fable", "mythos")
_YES, _NO = {"supported": True}, {"supported": False}
_CAPABILITIES = {
    "batch": _YES,
    "citations": _YES,
    "code_execution": _NO,
    "context_management": _NO,
    "effort": {**_YES, **dict.fromkeys(("low", "medium", "high", "xhigh", "max"), _YES)},
    "image_input": _YES,
    "pdf_input": _YES,
    "server_tools": {**_NO, "code_execution": _NO, "web_search": _NO},
    "structured_outputs": _YES,
    "thinking": {
        **_YES,
        "types": dict.fromkeys(("adaptive", "between_tools", "disabled", "enabled"), _YES),
    },
}


def _retrieve(engine: Engine, visit: Visit) -> None:
    engine.reply(visit, _encode(engine.profile("anthropic", visit.parameters["id"])))


def _list(engine: Engine, visit: Visit) -> None:
    """The newest first."""
    query = parse_qs(visit.request.query)
    wanted = query.get("lifecycle[]") or query.get("lifecycle") or ("active", "deprecated")
    shelf = Shelf()
    for model in sorted(engine.offered("anthropic"), key=lambda model: model.released, reverse=True):
        if _lifecycle(model) in wanted:
            shelf.put(Item(model.name, _encode(model)))
    rows, more = list_page(visit, shelf, order="asc", lenient=engine.lenient)
    engine.reply(visit, encode_page(rows, more=more))


def _encode(model: ModelProfile) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.name,
        "display_name": _display_name(model.name),
        "created_at": _date(model.released),
        "lifecycle": _lifecycle(model),
        "line": next((line for line in _LINES if line in model.name), None),
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
        "capabilities": _CAPABILITIES,
        "deprecated_at": None,
        "retires_at": None if model.retires is None else _date(model.retires),
    }


def _lifecycle(model: ModelProfile) -> str:
    return "active" if model.retires is None else "deprecated"


def _date(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _display_name(name: str) -> str:
    """``claude-opus-4-8`` is Claude Opus 4.8; a snapshot's date is not shown."""
    words = (word for word in name.split("-") if not re.fullmatch(r"\d{8}|latest", word))
    parts = groupby(words, key=lambda word: word[0].isdigit())
    return " ".join(".".join(g) if numbers else " ".join(g).title() for numbers, g in parts)


ROUTES = (
    Route("GET", "/v1/models", "models", _list),
    Route("GET", "/v1/models/{id}", "models", _retrieve),
)

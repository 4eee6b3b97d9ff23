"""OpenAI's models: what is offered, and fine-tuned ones that go."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from workbench.simulator.models import ModelProfile
from workbench.simulator.reception import Route, Visit
from workbench.wire.dialect import WireError
from workbench.wire.openai import ORGANIZATION

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ROUTES"]

_FINE_TUNED = "ft:"


def _encode(model: ModelProfile) -> dict[str, Any]:
    midnight = datetime.combine(model.released, time(), tzinfo=UTC)
    return {
        "id": model.name,
        "object": "model",
        "created": int(midnight.timestamp()),
        "owned_by": ORGANIZATION if model.name.startswith(_FINE_TUNED) else "system",
    }


def _list(engine: Engine, visit: Visit) -> None:
    engine.reply(visit, {"object": "list", "data": [_encode(model) for model in engine.offered("openai")]})


def _retrieve(engine: Engine, visit: Visit) -> None:
    engine.reply(visit, _encode(engine.profile("openai", visit.parameters["id"])))


def _delete(engine: Engine, visit: Visit) -> None:
    name = engine.profile("openai", visit.parameters["id"]).name
    if not name.startswith(_FINE_TUNED):
        message = f"You have insufficient permissions for this operation: '{name}' is no fine-tuned model."
        raise WireError("permission", message, param="model")
    engine.withdraw("openai", name)
    engine.reply(visit, {"id": name, "object": "model", "deleted": True})


ROUTES = (
    Route("GET", "/v1/models", "api.model.read", _list),
    Route("GET", "/v1/models/{id}", "api.model.read", _retrieve),
    Route("DELETE", "/v1/models/{id}", "api.model.write", _delete),
)

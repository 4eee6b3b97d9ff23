"""Anthropic's endpoints: messages; those of other resources stand in modules of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.simulator import anthropic_batches as batches
from workbench.simulator import anthropic_models as models
from workbench.simulator.asking import generate
from workbench.simulator.reception import Route, Visit, input_tokens
from workbench.wire.anthropic import MESSAGES
from workbench.wire.anthropic_request import decode_prompt

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ROUTES"]


def _create(engine: Engine, visit: Visit) -> None:
    generate(engine, visit, MESSAGES)


def _count_tokens(engine: Engine, visit: Visit) -> None:
    request = decode_prompt(visit.json())
    engine.profile("anthropic", request.model)
    engine.reply(visit, {"input_tokens": input_tokens(request)})


ROUTES = (
    Route("POST", "/v1/messages", "messages", _create),
    Route("POST", "/v1/messages/count_tokens", "messages", _count_tokens),
    *batches.ROUTES,
    *models.ROUTES,
)

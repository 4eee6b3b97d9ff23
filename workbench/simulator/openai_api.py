"""OpenAI's endpoints: what each does for a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.simulator.reception import Route, Visit
from workbench.wire.openai import CHAT

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ROUTES"]


def _create_chat(engine: Engine, visit: Visit) -> None:
    engine.generate(visit, CHAT)


ROUTES = (Route("POST", "/v1/chat/completions", "model.request", _create_chat),)

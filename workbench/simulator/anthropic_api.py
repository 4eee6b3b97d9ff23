"""Anthropic's endpoints: what each does for a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.simulator.reception import Route, Visit
from workbench.wire.anthropic import MESSAGES

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ROUTES"]


def _create_message(engine: Engine, visit: Visit) -> None:
    engine.generate(visit, MESSAGES)


ROUTES = (Route("POST", "/v1/messages", "messages", _create_message),)

"""OpenAI's endpoints, each of which stands in the module of its resource."""

from __future__ import annotations

from workbench.simulator import openai_chat as chat
from workbench.simulator import openai_embeddings as embeddings
from workbench.simulator import openai_models as models
from workbench.simulator import responses_api as responses

__all__ = ["ROUTES"]

ROUTES = (*chat.ROUTES, *embeddings.ROUTES, *models.ROUTES, *responses.ROUTES)

"""OpenAI's embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.messages import Usage
from workbench.simulator.exchange import Schedule
from workbench.simulator.failing import fail
from workbench.simulator.models import ModelProfile
from workbench.simulator.reception import Route, Visit
from workbench.simulator.vectors import embed
from workbench.wire.dialect import WireError
from workbench.wire.openai_embeddings import EmbeddingCall, decode_embedding_request, encode_embeddings

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["ROUTES"]

_OF_ONE_SIZE = "text-embedding-ada"  # the models before text-embedding-3


def _create(engine: Engine, visit: Visit) -> None:
    body, exchange = visit.json(), visit.exchange
    call = decode_embedding_request(body)
    model = engine.profile("openai", call.model, embeds=True)
    _check(call, model)
    exchange.model, exchange.input_tokens = model, sum(call.sizes)
    noise = engine.noise(visit.digest(body))
    account = engine.charge(visit, model, lambda: 0)
    fail(engine.faults, noise)
    read = exchange.input_tokens / model.prefill_tokens_per_second
    done = engine.edge_latency + model.ttft.draw(noise) + read
    schedule = Schedule(model.gaps(engine.seed), origin=0, first=done, tokens=0, stall_at=0, stall_seconds=0)
    engine.admit(visit, model, account, schedule, Usage(input_tokens=exchange.input_tokens))
    vectors = [embed(text, model.name, model.dimensions or 1, call.dimensions) for text in call.texts]
    answer = encode_embeddings(call, vectors, numbers=engine.float_embeddings)
    engine.reply(visit, answer, after=done)


def _check(call: EmbeddingCall, model: ModelProfile) -> None:
    """Refuse what is too long for the model, and more dimensions than it has."""
    most, wanted = model.dimensions or 1, call.dimensions
    if wanted is not None and model.name.startswith(_OF_ONE_SIZE):
        message = "This model does not support specifying dimensions."
        raise WireError("invalid_request", message, param="dimensions")
    if wanted is not None and wanted > most:
        message = f"Invalid value for 'dimensions' = {wanted}. Must be less than or equal to {most}."
        raise WireError("invalid_request", message, param="dimensions")
    if (longest := max(call.sizes)) > model.context_window:
        message = (
            f"This model's maximum context length is {model.context_window} tokens, however you requested "
            f"{longest} tokens ({longest} in your prompt; 0 for the completion). Please reduce your prompt; "
            "or completion length."
        )
        raise WireError("invalid_request", message)


ROUTES = (Route("POST", "/v1/embeddings", "model.request", _create),)

"""What spans of model calls are called: OpenTelemetry's semantic conventions for generative AI, v0.1.0.

They are in development; the newest names are used (`cache_write`, where older ones said `cache_creation`).
https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workbench.clock import now
from workbench.messages import Completion
from workbench.tracing.spans import SpanRecord, current_span, span

__all__ = ["Phases", "answer_attributes", "embeddings", "inference"]

_OPERATION = "gen_ai.operation.name"
_USAGE = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.usage.cache_write.input_tokens": "cache_write_tokens",
    "gen_ai.usage.reasoning.output_tokens": "thinking_tokens",
}


@contextmanager
def inference(provider: str, model: str, **attributes: Any) -> Iterator[SpanRecord]:
    """The span of a model call, ``chat <model>``; gives its record.

    It covers one logical call, with all its attempts: inside of one, there is no other.
    """
    above = current_span()
    while above is not None and above.attributes.get(_OPERATION) != "chat":
        above = above._above
    if above is not None:
        above.attributes.update(attributes)
        yield above
        return
    names = {_OPERATION: "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model}
    with span(f"chat {model}", **names, **attributes) as record:
        yield record


def embeddings(provider: str, model: str, dimensions: int) -> span:
    """The span of a request for embeddings, ``embeddings <model>``."""
    names = {_OPERATION: "embeddings", "gen_ai.provider.name": provider, "gen_ai.request.model": model}
    return span(f"embeddings {model}", **names, **{"gen_ai.embeddings.dimension.count": dimensions})


class Phases:
    """The two phases of a stream as spans: ``ttft``, until the first token, and ``decode``, until the end."""

    def __init__(self) -> None:
        self._record, self._began, self._first = current_span(), now(), False

    def token(self) -> None:
        """A token has come."""
        if not self._first:
            self._first = True
            self._pass("ttft")

    def end(self) -> None:
        """Nothing comes any more."""
        self._pass("decode" if self._first else "ttft")

    def _pass(self, name: str) -> None:
        if self._record is not None:
            self._record.add(name, self._began, end := now())
            self._began = end


def answer_attributes(answer: Completion) -> dict[str, Any]:
    """What an answer says of itself; of the details of its usage, those that are not zero."""
    said = {name: getattr(answer.usage, field) for name, field in _USAGE.items()}
    return {
        "gen_ai.response.id": answer.id,
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [answer.stop_reason],
        **{name: count for name, count in said.items() if count or name in list(_USAGE)[:2]},
    }

"""A question's way: retrieve by vectors and by words at once, fuse, rerank, ask the model, check its answer.

A stage that is late, or whose provider fails, costs what it would have brought and no more: the result says
what was `missed`, and keeps the rest.  Each stage is a span.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from workbench.background import Background
from workbench.errors import ProviderError, RagError
from workbench.events import Accumulator
from workbench.messages import Usage
from workbench.providers.base import Provider
from workbench.rag.answering import Answer, grounded_request, parse_answer, partial_text
from workbench.rag.chunking import Chunk
from workbench.rag.corpus import Corpus
from workbench.rag.documents import clean
from workbench.rag.reranking import rerank
from workbench.rag.searching import fuse
from workbench.streams import Metered
from workbench.tokens import pieces
from workbench.tracing import span

__all__ = ["Deadlines", "Pipeline", "Result"]

_LONGEST = 1000  # tokens of a question: no embedding, and no prompt, grows without bounds

Reranker = Callable[[str, Sequence[Chunk]], Awaitable[Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that each stage may take; None: as long as it does."""

    vector: float | None = 2.0
    lexical: float | None = 1.0
    rerank: float | None = 1.0
    generate: float | None = 30.0


@dataclass(slots=True)
class Result:
    """What became of a question.

    Attributes:
        question: as it was asked.
        sources: the chunks that the model was given, the best first.
        answer: None if there was none, or no whole one.
        text: the answer's text; where it was cut off, as far as it had come.
        usage: tokens of the model's call, where it came to its end.
        missed: the stages that were late or failed, and by which error.
    """

    question: str
    sources: tuple[Chunk, ...] = ()
    answer: Answer | None = None
    text: str = ""
    usage: Usage = field(default_factory=Usage)
    missed: dict[str, Exception] = field(default_factory=dict)


class Pipeline:
    """Answers questions from a corpus; ``async with`` lets its background work come to its end.

    Args:
        corpus: where the answers are.
        provider: who writes them.
        model: its model.
        candidates: chunks that each search gives, and that are reranked.
        top_k: chunks that the model is given.
        max_tokens: of an answer.
        deadlines: of the stages.
        reranker: an async function of the question and the candidates that gives their places, the best
            first; by default :func:`rerank`.
        analytics: an async function of each result, which no question waits for and no shutdown loses.
    """

    def __init__(
        self,
        corpus: Corpus,
        provider: Provider,
        *,
        model: str = "gpt-5.5",
        candidates: int = 20,
        top_k: int = 5,
        max_tokens: int = 500,
        deadlines: Deadlines | None = None,
        reranker: Reranker = rerank,
        analytics: Callable[[Result], Any] | None = None,
    ) -> None:
        self.corpus, self._provider, self._model = corpus, provider, model
        self._candidates, self._top_k, self._max_tokens = candidates, top_k, max_tokens
        self._deadlines = deadlines or Deadlines()
        self._reranker, self._analytics = reranker, analytics
        self.background = Background()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.background.__aexit__(*error)

    async def ask(self, question: str) -> Result:
        """Answer a question.

        Raises:
            RagError: the question is empty.
        """
        if not question.strip():
            raise RagError(f"a question must say something, got {question!r}")
        result = Result("".join(pieces(clean(question))[:_LONGEST]))
        with span("rag"):
            result.sources = await self.retrieve(result)
            if result.sources:
                await self._answer(result)
        if self._analytics is not None:
            self.background.start(self._analytics(result))
        return result

    async def retrieve(self, result: Result) -> tuple[Chunk, ...]:
        """The chunks that know most about the result's question; what fails is noted in it."""
        with span("retrieve"):
            async with asyncio.TaskGroup() as group:
                searches = [group.create_task(s(result)) for s in (self._by_vector, self._by_words)]
        with span("fuse"):
            numbers = fuse(search.result() for search in searches)[: self._candidates]
            found = [self.corpus.chunks[number] for number in numbers]
        order: Sequence[int] = range(len(found))
        async with _stage("rerank", self._deadlines.rerank, result):
            order = await self._reranker(result.question, found)
        return tuple(found[place] for place in order[: self._top_k])

    async def _by_vector(self, result: Result) -> list[int]:
        found: list[int] = []
        async with _stage("vector", self._deadlines.vector, result):
            with span("embed"):
                query = await self.corpus.embedder.embed_query(result.question)
            with span("search"):
                found = self.corpus.vectors.search(query, self._candidates)
        return found

    async def _by_words(self, result: Result) -> list[int]:
        found: list[int] = []
        async with _stage("lexical", self._deadlines.lexical, result):
            found = await self.corpus.lexical.search(result.question, self._candidates)
        return found

    async def _answer(self, result: Result) -> None:
        with span("prompt"):
            request = grounded_request(
                result.question, result.sources, model=self._model, max_tokens=self._max_tokens
            )
        so_far = Accumulator()
        async with _stage("generate", self._deadlines.generate, result):
            async with Metered(self._provider.stream(request)) as events:  # closed, however it ends
                async for event in events:
                    so_far.add(event)
            result.usage = so_far.completion().usage
        async with _stage("parse", None, result):
            result.text = partial_text(so_far.text)
            if "generate" not in result.missed:
                result.answer = parse_answer(so_far.text, result.sources)


@asynccontextmanager
async def _stage(name: str, deadline: float | None, result: Result) -> AsyncIterator[None]:
    """A span with a deadline, whose failure is noted and does not go further."""
    try:
        with span(name):
            async with asyncio.timeout(deadline):
                yield
    except (TimeoutError, ProviderError, RagError, sqlite3.Error) as error:
        result.missed[name] = error

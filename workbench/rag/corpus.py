"""Documents made ready to be asked: cut, embedded, indexed by vectors and by words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.rag.chunking import Chunk, chunks
from workbench.rag.database import connect
from workbench.rag.documents import Document
from workbench.rag.embedding import Embedder
from workbench.rag.searching import LexicalIndex, VectorIndex
from workbench.tracing import span

if TYPE_CHECKING:
    import openai

__all__ = ["Corpus"]


class Corpus:
    """Chunks, and two ways to find them; made by :meth:`build`.

    Attributes:
        chunks: all of them, known by their place in this sequence.
        embedder: which makes vectors of chunks and questions.
        vectors: the index of their vectors.
        lexical: the index of their words.
    """

    def __init__(
        self, chunks: Sequence[Chunk], embedder: Embedder, vectors: VectorIndex, lexical: LexicalIndex
    ) -> None:
        self.chunks, self.embedder, self.vectors, self.lexical = chunks, embedder, vectors, lexical

    def __repr__(self) -> str:
        tokens = sum(chunk.tokens for chunk in self.chunks)
        return f"<Corpus: {len(self.chunks)} chunks, {tokens:,} tokens>"

    @classmethod
    @asynccontextmanager
    async def build(
        cls,
        documents: Iterable[Document],
        client: openai.AsyncOpenAI,
        *,
        path: str | Path = ":memory:",
        max_tokens: int = 256,
        overlap: int = 32,
        model: str = "text-embedding-3-small",
        dimensions: int = 512,
    ) -> AsyncIterator[Corpus]:
        """Make a corpus, for ``async with``: its database is open as long as the block lasts.

        Args:
            documents: what it is made of.
            client: embeds the chunks and, later, the questions.
            path: of the database; a file keeps the vectors, so that the next build asks for new ones only.
            max_tokens: of a chunk.
            overlap: tokens that two neighbouring chunks share at most.
            model: for the embeddings.
            dimensions: of the embeddings.

        Raises:
            ProviderError: the embeddings could not be had.
        """
        with span("chunk"):
            cut = await asyncio.to_thread(_cut, documents, max_tokens, overlap)  # megabytes: not the loop's
        async with connect(path) as database:
            embedder = Embedder(client, database, model=model, dimensions=dimensions)
            with span("embed", chunks=len(cut)):
                rows = await embedder.embed([chunk.passage for chunk in cut])
            with span("index vectors"):
                vectors = await asyncio.to_thread(VectorIndex, rows)  # it takes seconds
            lexical = LexicalIndex(database)
            with span("index words"):
                await lexical.build(cut)
            yield cls(cut, embedder, vectors, lexical)


def _cut(documents: Iterable[Document], max_tokens: int, overlap: int) -> list[Chunk]:
    return [c for d in documents for c in chunks(d, max_tokens=max_tokens, overlap=overlap)]

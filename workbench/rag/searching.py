"""Who knows something about a question: by the meaning of its vectors, by its words, and by both.

Every search gives the numbers of chunks, the best first.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from workbench.rag.chunking import Chunk

if TYPE_CHECKING:
    import aiosqlite
    from numpy.typing import NDArray

__all__ = ["LexicalIndex", "VectorIndex", "fuse", "split_names"]

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
_STEPS = 8
_MOST_WORDS = 64  # of a question that are searched for
_TABLE = "CREATE VIRTUAL TABLE passages USING fts5(name, text, content='', tokenize='porter unicode61')"
_FIND = "SELECT rowid FROM passages WHERE passages MATCH ? ORDER BY bm25(passages, 3, 1), rowid LIMIT ?"


class VectorIndex:
    """Vectors of length 1, searched by their angle: exactly, or approximately in a graph (HNSW).

    The graph holds them as whole numbers of one byte: a quarter of the memory, at the price of a few
    hundredths of recall.  Sums of whole numbers are not rounded, so that, built by one thread in one order,
    it is the same graph on any processor.

    Args:
        vectors: shape (chunks, dimensions).
        connectivity: neighbours of each vector in the graph (M).
        expansion_add: candidates that are looked at where a vector is added (efConstruction).
        expansion_search: candidates that are looked at in a search (ef).
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        *,
        connectivity: int = 16,
        expansion_add: int = 128,
        expansion_search: int = 64,
    ) -> None:
        from usearch.index import Index

        self.vectors = np.ascontiguousarray(vectors, np.float32)
        self._graph = Index(
            ndim=self.vectors.shape[1],
            metric="ip",
            dtype="i8",
            connectivity=connectivity,
            expansion_add=expansion_add,
            expansion_search=expansion_search,
        )
        if len(vectors):
            self._graph.add(np.arange(len(vectors)), _in_bytes(self.vectors), threads=1)

    def search(self, query: NDArray[np.float32], k: int) -> list[int]:
        """The `k` chunks nearest to `query`, as far as the graph finds them."""
        return [int(key) for key in self._graph.search(_in_bytes(query), k, threads=1).keys]

    def exact(self, query: NDArray[np.float32], k: int) -> list[int]:
        """The `k` chunks nearest to `query`, of all of them; of equals, the first."""
        return [int(key) for key in np.argsort(-(self.vectors @ query), kind="stable")[:k]]

    def recall(self, queries: NDArray[np.float32], k: int) -> float:
        """Which share of the exact `k` nearest the graph finds, in the mean over `queries`."""
        shares = [len({*self.search(q, k)} & {*self.exact(q, k)}) / k for q in queries]
        return float(np.mean(shares))


def _in_bytes(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Of each coordinate eight steps to its usual size, which is 1/√dimensions, and at most 127."""
    steps = np.rint(vectors * np.float32(_STEPS * math.sqrt(vectors.shape[-1])))
    whole: NDArray[np.int8] = np.clip(steps, -127, 127).astype(np.int8)
    return whole


class LexicalIndex:
    """Chunks searched by their words: SQLite's FTS5, ranked by BM25, in which a document's name counts more.

    Args:
        database: an open connection, in which one such index can be.
    """

    def __init__(self, database: aiosqlite.Connection) -> None:
        self._database = database

    async def build(self, chunks: Iterable[Chunk]) -> None:
        """Index `chunks` in place of those before, numbered from 0."""
        rows = (  # they are made where they are taken: in the database's thread
            (i, split_names(c.document), f"{c.text} {split_names(c.text)}") for i, c in enumerate(chunks)
        )
        await self._database.execute("DROP TABLE IF EXISTS passages")
        await self._database.execute(_TABLE)
        await self._database.executemany("INSERT INTO passages (rowid, name, text) VALUES (?, ?, ?)", rows)
        await self._database.commit()

    async def search(self, question: str, k: int) -> list[int]:
        """The `k` chunks that share most with `question`; none, where it has no words.

        Nothing in a question is syntax: its words are quoted, and any of them will do.
        """
        words = dict.fromkeys(word.lower() for word in _WORD.findall(split_names(question)))
        if not words:
            return []
        match = " OR ".join(f'"{word}"' for word in list(words)[:_MOST_WORDS])
        async with self._database.execute(_FIND, (match, k)) as rows:
            return [int(row[0]) async for row in rows]


def split_names(text: str) -> str:
    """The text with each name that is written together taken apart: AsyncOpenAI, max_retries."""
    return _HUMP.sub(" ", text)


def fuse(rankings: Iterable[Sequence[int]], *, k: int = 60) -> list[int]:
    """One ranking of several: reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009).

    Args:
        rankings: numbers, the best first.
        k: the larger, the less the first places count.
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for ranking in rankings:
        for rank, number in enumerate(ranking, 1):
            scores[number] += 1 / (k + rank)
    return sorted(scores, key=lambda number: (-scores[number], number))

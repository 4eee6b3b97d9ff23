"""Texts as vectors, by the provider's embeddings endpoint: in batches, several at once, each text once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import openai

from workbench.fanout import fan_out
from workbench.providers.base import from_connection, from_status
from workbench.tokens import count
from workbench.tracing.genai import embeddings

if TYPE_CHECKING:
    import aiosqlite
    from numpy.typing import NDArray

__all__ = ["Embedder"]

_BATCH = 256  # texts
_BATCH_TOKENS = 50_000  # OpenAI takes 300,000 a request; a smaller one is answered sooner
_TABLE = "CREATE TABLE IF NOT EXISTS embeddings (key TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID"


class Embedder:
    """Embeds texts, and remembers their vectors in a database.

    Args:
        client: a real client; its own retries apply.
        database: keeps the vectors by model, dimensions and text; None: nothing is remembered.
        model: an embedding model of OpenAI's.
        dimensions: of the vectors.
        limit: requests in flight.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        database: aiosqlite.Connection | None = None,
        *,
        model: str = "text-embedding-3-small",
        dimensions: int = 512,
        limit: int = 8,
    ) -> None:
        self._client, self._database, self._limit = client, database, limit
        self._prepared = False
        self.model, self.dimensions = model, dimensions

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of `texts`, of length 1: shape (texts, dimensions).

        Raises:
            ProviderError: the provider refuses, fails, or cannot be reached.
        """
        keys = await asyncio.to_thread(lambda: [self._key(text) for text in texts])
        known = await self._recall(keys)
        fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        batches = await asyncio.to_thread(list, _batches(list(fresh.values())))  # it counts their tokens
        vectors = await fan_out(self._request, batches, limit=self._limit)
        new = dict(zip(fresh, (row for batch in vectors.values() for row in batch), strict=True))
        await self._remember(new)
        known |= new
        empty = np.empty((0, self.dimensions), np.float32)
        return np.stack([known[key] for key in keys]) if keys else empty

    async def embed_query(self, question: str) -> NDArray[np.float32]:
        """The vector of a question; questions are not remembered, since most are asked once."""
        return np.asarray((await self._request([question]))[0], np.float32)

    def _key(self, text: str) -> str:
        about = f"{self.model}\0{self.dimensions}\0{text}"
        return hashlib.blake2b(about.encode(errors="replace"), digest_size=16).hexdigest()

    async def _request(self, texts: list[str]) -> NDArray[np.float32]:
        with embeddings("openai", self.model, self.dimensions) as record:
            try:
                answer = await self._client.embeddings.create(
                    input=texts, model=self.model, dimensions=self.dimensions
                )
            except openai.APIStatusError as error:
                raise from_status(error, "openai") from error
            except openai.APIError as error:
                timeout = isinstance(error, openai.APITimeoutError)
                raise from_connection(error, "openai", timeout=timeout) from error
            record.attributes["gen_ai.response.model"] = answer.model
            record.attributes["gen_ai.usage.input_tokens"] = answer.usage.prompt_tokens
        return np.array([each.embedding for each in answer.data], np.float32)

    async def _recall(self, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        if self._database is None:
            return {}
        if not self._prepared:
            await self._database.execute(_TABLE)
            self._prepared = True
        find = "SELECT key, vector FROM embeddings WHERE key IN (SELECT value FROM json_each(?))"
        rows = await self._database.execute_fetchall(find, [json.dumps(keys)])
        return {key: np.frombuffer(vector, "<f4") for key, vector in rows}

    async def _remember(self, vectors: dict[str, NDArray[np.float32]]) -> None:
        if self._database is None or not vectors:
            return
        rows = ((key, vector.astype("<f4").tobytes()) for key, vector in vectors.items())
        await self._database.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?)", rows)
        await self._database.commit()


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in their order, as few requests as their sizes allow."""
    batch: list[str] = []
    room = _BATCH_TOKENS
    for text in texts:
        size = count(text)
        if batch and (size > room or len(batch) == _BATCH):
            yield batch
            batch, room = [], _BATCH_TOKENS
        batch.append(text)
        room -= size
    if batch:
        yield batch

"""The candidates of both searches in a better order."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence

from workbench.rag.chunking import Chunk
from workbench.rag.searching import split_names
from workbench.simulator.prose import stems

__all__ = ["rerank"]

_NAME = 2.0  # a word in a document's name says that much more than one in its text


async def rerank(question: str, candidates: Sequence[Chunk]) -> list[int]:
    """The candidates' places, the best first: by how much of the question each one covers.

    A word counts by how rare it is among the candidates; equals stay in the order in which they come.
    A cross-encoder would read both texts together; this one only counts, in a thread, so that many candidates
    hold up no loop and a deadline counts.
    """
    return await asyncio.to_thread(_order, question, candidates)


def _order(question: str, candidates: Sequence[Chunk]) -> list[int]:
    wanted = stems(split_names(question))
    names = [stems(split_names(candidate.document)) for candidate in candidates]
    texts = [stems(split_names(candidate.text)) for candidate in candidates]
    known = Counter(stem for name, text in zip(names, texts, strict=True) for stem in wanted & (name | text))
    weights = {stem: math.log(1 + len(candidates) / number) for stem, number in known.items()}

    def score(place: int) -> float:
        inside = sum(weights[stem] for stem in wanted & texts[place])
        return inside + _NAME * sum(weights[stem] for stem in wanted & names[place])

    return sorted(range(len(candidates)), key=lambda place: (-score(place), place))

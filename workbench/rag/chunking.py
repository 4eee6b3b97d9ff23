"""Documents cut into chunks: as many tokens as allowed, at the strongest boundary, overlapping.

Every chunk is a slice of its document, and together they cover it: :func:`join` gives the text back, to the
character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from workbench.rag.documents import Document
from workbench.tokens import count

__all__ = ["Chunk", "chunks", "join"]

# The strongest first: a chunk ends after a blank line, else after a line, a sentence, a word.
_BOUNDARIES = [re.compile(p) for p in (r"\n[ \t]*\n+", r"\n", r"[.!?;:,。!?]\s+|[。!?]", r"\s+")]
_LEAST = 16  # tokens: any character has fewer
_CLOSE = 0.9  # of what a chunk may have: near enough


@dataclass(frozen=True, slots=True)
class Chunk:
    """The characters `start` to `end` of a document, and how many tokens they are."""

    document: str
    start: int
    end: int
    text: str
    tokens: int

    @property
    def passage(self) -> str:
        """The text below its document's name: what is embedded and searched."""
        return f"{self.document}\n{self.text}"


def chunks(document: Document, *, max_tokens: int = 256, overlap: int = 32) -> list[Chunk]:
    """Cut a document.

    Args:
        document: what is cut; one without text has no chunks.
        max_tokens: of a chunk, at least 16.
        overlap: tokens at the end of a chunk, at most, with which the next one begins; at most half a chunk.

    Raises:
        ValueError: `max_tokens` or `overlap` is out of its range.
    """
    if max_tokens < _LEAST or not 0 <= overlap <= max_tokens // 2:
        limits = f"max_tokens must be at least {_LEAST}, and overlap from 0 to half of it"
        raise ValueError(f"{limits}, got {max_tokens!r} and {overlap!r}")
    return list(_cut(document, max_tokens, overlap))


def join(parts: Iterable[Chunk]) -> str:
    """The text that these consecutive chunks of one document cover."""
    text, end = "", 0
    for part in parts:
        text += part.text[end - part.start if text else 0 :]
        end = part.end
    return text


def _cut(document: Document, most: int, overlap: int) -> Iterator[Chunk]:
    text = document.text
    start = covered = 0
    density = 3.0  # characters a token
    while covered < len(text):
        furthest = _furthest(text, start, most, density)
        if furthest <= covered:  # the overlap has taken all the room
            start = covered
            continue
        end = furthest
        if end < len(text):
            end = _last_boundary(text, max(covered, (start + end) // 2), end)
        tokens = count(text[start:end])
        while tokens > most:  # a boundary may cost a token more than the cut that fitted
            end = start + max(1, (end - start) * _LEAST // (_LEAST + 1))
            tokens = count(text[start:end])
        yield Chunk(document.name, start, end, text[start:end], tokens)
        density, covered = (end - start) / max(1, tokens), end
        start = _overlapping(text, start, end, overlap, density)


def _furthest(text: str, start: int, most: int, density: float) -> int:
    """About how far the text may go on from `start` to have at most `most` tokens."""
    size, best = max(1, int(most * density)), start + 1
    for _ in range(6):
        end = min(len(text), start + size)
        tokens = count(text[start:end])
        if tokens <= most:
            best = max(best, end)
            if end == len(text) or tokens >= _CLOSE * most:
                break
        size = max(1, int((end - start) * 0.97 * most / max(1, tokens)))
    return best


def _last_boundary(text: str, low: int, high: int) -> int:
    """Where the strongest boundary after `low` ends, at `high` or before; the last of those."""
    for boundary in _BOUNDARIES:
        ends = [found.end() for found in boundary.finditer(text, low, high)]
        if ends and ends[-1] > low:
            return ends[-1]
    return high


def _overlapping(text: str, start: int, end: int, overlap: int, density: float) -> int:
    """Where the chunk after the one from `start` to `end` begins: where a line or a word does."""
    low = max(start + 1, end - int(overlap * density))
    for boundary in (_BOUNDARIES[1], _BOUNDARIES[3]):
        found = boundary.search(text, low, end)
        if found and found.end() < end and count(text[found.end() : end]) <= overlap:
            return found.end()
    return end

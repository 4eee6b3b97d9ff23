"""A streamed answer as bytes, one chunk a token, and the ways in which it goes wrong."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from workbench.events import CitationDelta, Event, split_tokens
from workbench.messages import Completion
from workbench.simulator.exchange import Breakage, Part
from workbench.simulator.models import Faults
from workbench.wire.dialect import Encoder

__all__ = ["StreamFaults", "chunks"]

_KEPT = 30  # bytes of a malformed event
_NO_JSON = b"event: message\ndata: {\n\n"  # where a token says nothing


def chunks(completions: Sequence[Completion], encoder: Encoder) -> list[bytes]:
    """The bytes that are due with each token: the head goes with the first, the end with the last."""
    rows = [_row(completion, encoder, index) for index, completion in enumerate(completions)]
    made = rows[0] if len(rows) == 1 else [b"".join(column) for column in zip_longest(*rows, fillvalue=b"")]
    made[-1] += encoder.end()
    return made


def _row(completion: Completion, encoder: Encoder, choice: int) -> list[bytes]:
    """What is due with each token of one choice, as many as were counted.

    An answer that was cut off may end inside a character; without that its text is one of fewer tokens.
    """
    encode, events = encoder.encode, list(split_tokens(completion))
    said = [b"" if event is None else encode(event, choice) for event in events]
    head, *row, end = _glue(said, events) if completion.citations else said
    last = max(1, completion.usage.output_tokens) - 1
    row[last:] = [b"".join(row[last:])]
    row += [b""] * (last + 1 - len(row))
    row[0] = head + row[0]
    row[-1] += end
    return row


def _glue(said: Sequence[bytes], events: Sequence[Event | None]) -> list[bytes]:
    """One chunk a token: a citation is none, it goes with the token before."""
    tokens: list[bytes] = []
    for chunk, event in zip(said, events, strict=True):
        if isinstance(event, CitationDelta):
            tokens[-1] += chunk
        else:
            tokens.append(chunk)
    return tokens


@dataclass(frozen=True, slots=True)
class StreamFaults:
    """Where a stream goes wrong, by the number of the token; beyond its end: nowhere."""

    disconnect_at: float = math.inf
    error_at: float = math.inf
    malformed_at: float = math.inf
    split_characters: bool = False

    @classmethod
    def draw(cls, faults: Faults, rng: random.Random, tokens: int) -> StreamFaults:
        """Decide for one stream."""
        disconnect_at, malformed_at, error_at = (
            rng.randrange(tokens) if rng.random() < rate else math.inf
            for rate in (faults.disconnect_rate, faults.malformed_rate, faults.stream_error_rate)
        )
        return cls(disconnect_at, error_at, malformed_at, faults.split_characters)

    def __bool__(self) -> bool:
        return self.split_characters or self.first < math.inf

    @property
    def first(self) -> float:
        """The first token that does not come as it should."""
        return min(self.last, self.malformed_at)

    @property
    def last(self) -> float:
        """The token in place of which the stream ends."""
        return min(self.disconnect_at, self.error_at)

    @property
    def name(self) -> str:
        """What the log calls it."""
        if self.malformed_at < self.last:
            return "malformed"
        return "overloaded" if self.error_at < self.disconnect_at else "disconnected"

    def spoil(self, parts: Iterable[tuple[float, bytes]], error: bytes) -> Iterator[Part]:
        """The parts as they go out; `error` is what an overloaded server says in a stream."""
        rest, offset = b"", 0.0
        for token, (offset, chunk) in enumerate(parts):
            if token == self.last:
                yield offset, Breakage.DISCONNECTED if token == self.disconnect_at else rest + error
                return
            if token == self.malformed_at:
                start = chunk.find(b"data: ")
                chunk = chunk[: start + _KEPT] + b"\n\n" if start >= 0 else _NO_JSON
            chunk, rest = _cut(rest + chunk) if self.split_characters else (chunk, b"")
            yield offset, chunk
        if rest:
            yield offset, rest


def _cut(chunk: bytes) -> tuple[bytes, bytes]:
    """Cut `chunk` inside its last multi-byte character."""
    for index in range(len(chunk) - 1, 0, -1):
        if chunk[index] >= 0xC0:  # a lead byte
            return chunk[: index + 1], chunk[index + 1 :]
    return chunk, b""

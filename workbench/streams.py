"""How fast a stream comes, measured where its consumer sees it.

The field's terms, in seconds: *TTFT*, from asking to the first token; *ITL*, each gap between two tokens;
*latency*, from asking to the end; *TPOT* = (latency − TTFT) / (tokens − 1), the mean time for a token once
they come.  They are those of the benchmarks of vLLM and NVIDIA's GenAI-Perf.

A measurement changes nothing: an event is passed on in the instant in which it comes, and none is asked for
before the consumer asks.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Self

from workbench.clock import now
from workbench.events import Event, Finished, RefusalDelta, TextDelta, ThinkingDelta, ToolCallDelta

if TYPE_CHECKING:
    from workbench.simulator import RequestRecord

__all__ = ["Metered", "StreamMetrics", "is_token"]


@dataclass(frozen=True, slots=True)
class StreamMetrics:
    """When the tokens of one stream came.  Instants are seconds on the clock of whoever measured.

    Args:
        asked: when it was asked for.
        tokens: when each token came; where a provider sends several at once, each such piece.
        ended: when its end came, or it broke off, or its consumer left.
        output_tokens: how many the provider counted; where it does not say, those that came.
    """

    asked: float
    tokens: tuple[float, ...]
    ended: float
    output_tokens: int

    @classmethod
    def of(cls, record: RequestRecord) -> StreamMetrics:
        """The same, as the simulated provider's log has it."""
        return cls(record.arrival, record.tokens, record.ended, record.output_tokens)

    @property
    def ttft(self) -> float:
        """Time to first token; NaN if none came."""
        return self.tokens[0] - self.asked if self.tokens else math.nan

    @property
    def itl(self) -> tuple[float, ...]:
        """Inter-token latencies: each gap."""
        return tuple(later - earlier for earlier, later in pairwise(self.tokens))

    @property
    def latency(self) -> float:
        """End-to-end latency."""
        return self.ended - self.asked

    @property
    def tpot(self) -> float:
        """Time per output token after the first; NaN for fewer than two."""
        return (self.latency - self.ttft) / (self.output_tokens - 1) if self.output_tokens > 1 else math.nan

    @property
    def tokens_per_second(self) -> float:
        """Output tokens over the latency."""
        return self.output_tokens / self.latency if self.latency else math.nan

    def error(self, truth: StreamMetrics | RequestRecord) -> dict[str, float]:
        """How far this measurement is from `truth`, in seconds to the nanosecond (positive: it is later).

        `itl` is that of the gap that is furthest off; `tokens` is a number of tokens.
        """
        true = truth if isinstance(truth, StreamMetrics) else StreamMetrics.of(truth)
        gaps = [ours - theirs for ours, theirs in zip(self.itl, true.itl, strict=False)]
        differences = {
            "ttft": self.ttft - true.ttft,
            "itl": max(gaps, key=abs, default=0.0),
            "tpot": self.tpot - true.tpot,
            "latency": self.latency - true.latency,
        }
        rounded = {name: round(seconds, 9) for name, seconds in differences.items()}
        return {**rounded, "tokens": len(self.tokens) - len(true.tokens)}


class Metered(AsyncIterator[Event]):
    """Measures a stream while it is consumed; its source is closed when the ``async with`` block is left.

    Args:
        stream: any async iterator of events, such as a provider's ``stream(request)``.
        asked: when the request was sent (:func:`workbench.now`); None: when the first event is asked for,
            as of a provider's stream, which does nothing before.
    """

    def __init__(self, stream: AsyncIterator[Event], *, asked: float | None = None) -> None:
        self._stream = stream
        self._asked = asked
        self._tokens: list[float] = []
        self._ended: float | None = None
        self._counted = 0

    @property
    def metrics(self) -> StreamMetrics:
        """What is known so far; while the stream runs, as if it ended now."""
        end = now() if self._ended is None else self._ended
        asked = end if self._asked is None else self._asked
        return StreamMetrics(asked, tuple(self._tokens), end, self._counted or len(self._tokens))

    async def __anext__(self) -> Event:
        """The next event, in the instant in which it comes."""
        if self._asked is None:
            self._asked = now()
        try:
            event = await anext(self._stream)
        except BaseException:  # its end is one, too
            self._end()
            raise
        if is_token(event):
            self._tokens.append(now())
        elif isinstance(event, Finished):
            self._counted = event.usage.output_tokens
        return event

    async def aclose(self) -> None:
        """Close the source: the provider learns at once that nobody listens any more."""
        self._end()
        if (close := getattr(self._stream, "aclose", None)) is not None:
            await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    def _end(self) -> None:
        if self._ended is None:
            self._ended = now()


def is_token(event: Event) -> bool:
    """Whether the event says something: a tool call's name does, an empty delta does not."""
    if isinstance(event, ToolCallDelta):
        return event.id is not None or event.arguments != ""
    return isinstance(event, TextDelta | RefusalDelta | ThinkingDelta) and event.text != ""

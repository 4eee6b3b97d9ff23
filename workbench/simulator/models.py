"""What describes a simulated model, and what goes wrong with it: speed, size, price, limits, faults."""

from __future__ import annotations

import functools
import math
import random
from datetime import date
from itertools import accumulate
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.messages import Usage
from workbench.prices import Price

__all__ = ["FaultWindow", "Faults", "Gaps", "Latency", "ModelProfile", "Outage", "RateLimits"]

Seconds = float


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latency(_Config):
    """A distribution of durations, by its mean (seconds) and coefficient of variation."""

    mean: Seconds = Field(gt=0)
    cv: float = Field(default=0.0, ge=0)
    shape: Literal["lognormal", "gamma"] = "lognormal"

    def draw(self, rng: random.Random) -> Seconds:
        """One duration; with ``cv == 0`` it is the mean."""
        if not self.cv:
            return self.mean
        if self.shape == "gamma":
            return rng.gammavariate(1 / self.cv**2, self.mean * self.cv**2)
        return rng.lognormvariate(*_lognormal(self.mean, self.cv))


@functools.lru_cache(maxsize=1024)
def _lognormal(mean: float, cv: float) -> tuple[float, float]:
    """The parameters of that distribution."""
    variance = math.log1p(cv**2)
    return math.log(mean) - variance / 2, math.sqrt(variance)


class Gaps:
    """A ring of inter-token gaps, drawn once from a distribution: a request reads it from a random place.

    A sum over many gaps then costs the same as one gap.
    """

    SIZE = 4096

    def __init__(self, latency: Latency, seed: str) -> None:
        rng = random.Random(seed)
        gaps = (latency.draw(rng) for _ in range(self.SIZE))
        self._sums = [0.0, *accumulate(gaps)]

    def times(self, origin: int, count: int) -> list[Seconds]:
        """The instants of `count` tokens, the first at 0, from the gap numbered `origin` on."""
        sums, start = self._sums, self._sums[origin]
        if origin + count <= len(sums):
            return [at - start for at in sums[origin : origin + count]]
        return [self._until(origin + token) - start for token in range(count)]

    def span(self, origin: int, count: int) -> Seconds:
        """The time from the first of `count` tokens to the last."""
        return self._until(origin + count - 1) - self._sums[origin]

    def _until(self, index: int) -> Seconds:
        turns, rest = divmod(index, self.SIZE)
        return turns * self._sums[-1] + self._sums[rest]


@functools.lru_cache(maxsize=256)
def _price(input_price: float, output_price: float) -> Price:
    return Price(input=input_price, output=output_price)


_gaps = functools.lru_cache(maxsize=256)(Gaps)  # models are few


class RateLimits(_Config):
    """What one key may ask of one model; None: no limit.

    Args:
        requests: a minute.
        tokens: a minute, input and output together.
        input_tokens: a minute.
        output_tokens: a minute.
        concurrent: requests that are under way at once, queued ones included.
    """

    requests: float | None = Field(default=None, gt=0)
    tokens: float | None = Field(default=None, gt=0)
    input_tokens: float | None = Field(default=None, gt=0)
    output_tokens: float | None = Field(default=None, gt=0)
    concurrent: int | None = Field(default=None, ge=1)


class ModelProfile(_Config):
    """One simulated model.

    Args:
        name: what a request asks for.
        provider: whose API offers it.
        ttft: time to first token of an empty prompt, without queueing.
        prefill_tokens_per_second: how fast a prompt is read; it adds to the time to first token.
        itl: inter-token latency, the gap between two tokens.
        slots: requests that are served at once; others queue, first come first served.
        answer_tokens: length of an answer where the request sets no limit; of a scripted answer, its text.
        context_window: tokens of prompt and answer together.
        max_output_tokens: what `max_tokens` may be at most.
        cache_minimum_tokens: length from which on the beginning of a prompt is kept in its cache.
        limits: what one key may ask for.
        input_price: dollars for a million input tokens; a tenth of it for those that come from a cache.
        output_price: dollars for a million output tokens.
        dimensions: of its embeddings; None: it is a model that answers.
        released: the day on which it came out.
        retires: the day on which it is to be withdrawn; None: there is none yet.
    """

    name: str = Field(min_length=1)
    provider: Literal["openai", "anthropic"]
    ttft: Latency = Latency(mean=0.35, cv=0.35)
    prefill_tokens_per_second: float = Field(default=8000, gt=0)
    itl: Latency = Latency(mean=0.014, cv=0.5)
    slots: int = Field(default=64, ge=1)
    answer_tokens: Latency = Latency(mean=90, cv=0.6)
    context_window: int = Field(default=128_000, ge=1)
    max_output_tokens: int = Field(default=16_384, ge=1)
    cache_minimum_tokens: int = Field(default=1024, ge=1)
    limits: RateLimits = RateLimits()
    input_price: float = Field(default=1.0, ge=0)
    output_price: float = Field(default=4.0, ge=0)
    dimensions: int | None = Field(default=None, ge=1)
    released: date = date(2025, 1, 1)
    retires: date | None = None

    def cost(self, usage: Usage) -> float:
        """What a call costs, in dollars."""
        return _price(self.input_price, self.output_price).cost(usage)

    def gaps(self, seed: int) -> Gaps:
        """The gaps between this model's tokens."""
        return _gaps(self.itl, f"{seed}/{self.name}/itl")


class Outage(_Config):
    """A window of time in which every request fails: seconds on the simulator's own timeline."""

    start: Seconds = Field(ge=0)
    end: Seconds
    kind: Literal["server_error", "overloaded", "refuse"] = "overloaded"


class _Rates(_Config):
    error_rate: float = Field(default=0, ge=0, le=1)
    overload_rate: float = Field(default=0, ge=0, le=1)
    refuse_rate: float = Field(default=0, ge=0, le=1)
    reset_rate: float = Field(default=0, ge=0, le=1)
    disconnect_rate: float = Field(default=0, ge=0, le=1)
    stall_rate: float = Field(default=0, ge=0, le=1)
    stall_seconds: Seconds = Field(default=60, gt=0)
    malformed_rate: float = Field(default=0, ge=0, le=1)
    stream_error_rate: float = Field(default=0, ge=0, le=1)
    refusal_rate: float = Field(default=0, ge=0, le=1)
    invalid_output_rate: float = Field(default=0, ge=0, le=1)
    split_characters: bool = False


class FaultWindow(_Rates):
    """A window of time with faults of its own: seconds on the simulator's own timeline.

    It has the rates of :class:`Faults`; those that it does not set stay as they are outside of it.
    """

    start: Seconds = Field(ge=0)
    end: Seconds

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if not self.end > self.start:
            raise ValueError(f"a window ends after its start, {self.start!r}, not at {self.end!r}")
        return self


class Faults(_Rates):
    """What goes wrong; each rate is a probability for each request.

    Args:
        error_rate: answered by a 500.
        overload_rate: answered by a 503 (OpenAI) or 529 (Anthropic).
        refuse_rate: the connection is refused.
        reset_rate: the connection is reset before the answer.
        disconnect_rate: a stream breaks off in the middle.
        stall_rate: the answer stands still in the middle for `stall_seconds`.
        malformed_rate: a stream contains a broken event.
        stream_error_rate: a stream ends in the middle by an event that says "overloaded".
        refusal_rate: the model declines to answer.
        invalid_output_rate: JSON that was asked for is not what its schema says, as from a model without
            constrained decoding.
        split_characters: chunks of a stream end inside multi-byte characters.
        outages: windows in which all requests fail.
        windows: windows in which other rates hold; where two overlap, the later one in the list counts.
    """

    outages: tuple[Outage, ...] = ()
    windows: tuple[FaultWindow, ...] = ()

    def at(self, now: Seconds) -> Faults:
        """What goes wrong at that instant."""
        changes: dict[str, object] = {}
        for window in self.windows:
            if window.start <= now < window.end:
                changes |= {
                    name: getattr(window, name) for name in window.model_fields_set - {"start", "end"}
                }
        return self.model_copy(update=changes) if changes else self

"""What the simulated models are like: speed, size, price and limits.  All of it is data.

The figures are assumptions in the range that public benchmarks show, not measurements of a provider: what
matters is that models *differ* as real ones do.  Replace them: ``Simulator(models=[ModelProfile(…)])``.
"""

from __future__ import annotations

import functools
import math
import random
from itertools import accumulate
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CATALOG", "Faults", "Latency", "ModelProfile", "Outage", "RateLimits"]

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
        variance = math.log1p(self.cv**2)
        return rng.lognormvariate(math.log(self.mean) - variance / 2, math.sqrt(variance))


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


class RateLimits(_Config):
    """Requests and tokens a minute; None: no limit.  `tokens` counts input and output together."""

    requests: float | None = Field(default=None, gt=0)
    tokens: float | None = Field(default=None, gt=0)
    input_tokens: float | None = Field(default=None, gt=0)
    output_tokens: float | None = Field(default=None, gt=0)


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
        limits: what one key may ask for in a minute.
        input_price: dollars for a million input tokens.
        output_price: dollars for a million output tokens.
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
    limits: RateLimits = RateLimits()
    input_price: float = Field(default=1.0, ge=0)
    output_price: float = Field(default=4.0, ge=0)

    @functools.lru_cache(maxsize=256)  # noqa: B019 - profiles are few, frozen and small
    def gaps(self, seed: int) -> Gaps:
        """The gaps between this model's tokens."""
        return Gaps(self.itl, f"{seed}/{self.name}/itl")


class Outage(_Config):
    """A window of time in which every request fails: seconds on the simulator's own timeline."""

    start: Seconds = Field(ge=0)
    end: Seconds
    kind: Literal["server_error", "overloaded", "refuse"] = "overloaded"


class Faults(_Config):
    """What goes wrong; each rate is a probability for each request.

    Args:
        error_rate: answered by a 500.
        overload_rate: answered by a 503 (OpenAI) or 529 (Anthropic).
        refuse_rate: the connection is refused.
        reset_rate: the connection is reset before the answer.
        disconnect_rate: a stream breaks off in the middle.
        stall_rate: the answer stands still in the middle for `stall_seconds`.
        malformed_rate: a stream contains a broken event.
        refusal_rate: the model declines to answer.
        split_characters: chunks of a stream end inside multi-byte characters.
        outages: windows in which all requests fail.
    """

    error_rate: float = Field(default=0, ge=0, le=1)
    overload_rate: float = Field(default=0, ge=0, le=1)
    refuse_rate: float = Field(default=0, ge=0, le=1)
    reset_rate: float = Field(default=0, ge=0, le=1)
    disconnect_rate: float = Field(default=0, ge=0, le=1)
    stall_rate: float = Field(default=0, ge=0, le=1)
    stall_seconds: Seconds = Field(default=60, gt=0)
    malformed_rate: float = Field(default=0, ge=0, le=1)
    refusal_rate: float = Field(default=0, ge=0, le=1)
    split_characters: bool = False
    outages: tuple[Outage, ...] = ()


_SMALL: dict[str, object] = {
    "ttft": Latency(mean=0.25, cv=0.3),
    "itl": Latency(mean=0.006, cv=0.5),
    "prefill_tokens_per_second": 20_000,
    "slots": 128,
    "limits": RateLimits(requests=2000, tokens=4_000_000),
    "input_price": 0.15,
    "output_price": 0.6,
}
_MEDIUM: dict[str, object] = {
    "ttft": Latency(mean=0.45, cv=0.35),
    "itl": Latency(mean=0.013, cv=0.5),
    "slots": 64,
    "limits": RateLimits(requests=1000, tokens=2_000_000),
    "input_price": 2.5,
    "output_price": 10.0,
}
_LARGE: dict[str, object] = {
    "ttft": Latency(mean=1.2, cv=0.45, shape="gamma"),
    "itl": Latency(mean=0.03, cv=0.6, shape="gamma"),
    "prefill_tokens_per_second": 4_000,
    "slots": 24,
    "limits": RateLimits(requests=500, tokens=800_000),
    "input_price": 10.0,
    "output_price": 40.0,
}

_SPLIT = {  # Anthropic limits input and output apart
    "_SMALL": RateLimits(requests=2000, input_tokens=2_000_000, output_tokens=400_000),
    "_MEDIUM": RateLimits(requests=1000, input_tokens=1_000_000, output_tokens=200_000),
    "_LARGE": RateLimits(requests=500, input_tokens=400_000, output_tokens=80_000),
}

CATALOG: tuple[ModelProfile, ...] = (
    *(
        ModelProfile.model_validate({"name": name, "provider": "openai", **kind})
        for kind, names in (
            (_SMALL, ("gpt-4o-mini", "gpt-4.1-mini", "gpt-5-mini", "gpt-5.4-mini")),
            (_MEDIUM, ("gpt-4o", "gpt-4.1", "gpt-5", "gpt-5.5")),
            (_LARGE, ("gpt-5.2-pro",)),
        )
        for name in names
    ),
    *(
        ModelProfile.model_validate(
            {
                "name": name,
                "provider": "anthropic",
                **kind,
                "limits": limits,
                "context_window": 200_000,
                "max_output_tokens": 64_000,
            }
        )
        for kind, limits, names in (
            (_SMALL, _SPLIT["_SMALL"], ("claude-haiku-4-5", "claude-haiku-5-5")),
            (_MEDIUM, _SPLIT["_MEDIUM"], ("claude-sonnet-4-6", "claude-sonnet-5")),
            (_LARGE, _SPLIT["_LARGE"], ("claude-opus-4-8", "claude-opus-5")),
        )
        for name in names
    ),
)

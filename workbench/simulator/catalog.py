"""The models that a simulator offers by itself.  All of it is data.

The figures are assumptions in the range that public benchmarks show, not measurements of a provider: what
matters is that models *differ* as real ones do.  Replace them: ``Simulator(models=[ModelProfile(…)])``.
"""

from __future__ import annotations

from datetime import date

from workbench.prices import Prices
from workbench.simulator.models import Latency, ModelProfile, RateLimits

__all__ = ["CATALOG"]

_KINDS: dict[str, dict[str, object]] = {
    "small": {
        "ttft": Latency(mean=0.25, cv=0.3),
        "itl": Latency(mean=0.006, cv=0.5),
        "prefill_tokens_per_second": 20_000,
        "slots": 128,
    },
    "medium": {
        "ttft": Latency(mean=0.45, cv=0.35),
        "itl": Latency(mean=0.013, cv=0.5),
        "slots": 64,
    },
    "large": {
        "ttft": Latency(mean=1.2, cv=0.45, shape="gamma"),
        "itl": Latency(mean=0.03, cv=0.6, shape="gamma"),
        "prefill_tokens_per_second": 4_000,
        "slots": 24,
    },
    "embeds": {
        "ttft": Latency(mean=0.08, cv=0.4),
        "prefill_tokens_per_second": 200_000,
        "context_window": 8192,
        "dimensions": 1536,
    },
}
_LIMITS: dict[str, dict[str, RateLimits]] = {
    "openai": {
        "small": RateLimits(requests=2000, tokens=4_000_000),
        "medium": RateLimits(requests=1000, tokens=2_000_000),
        "large": RateLimits(requests=500, tokens=800_000),
        "embeds": RateLimits(requests=3000, tokens=1_000_000),
    },
    "anthropic": {  # it limits input and output apart
        "small": RateLimits(requests=2000, input_tokens=2_000_000, output_tokens=400_000),
        "medium": RateLimits(requests=1000, input_tokens=1_000_000, output_tokens=200_000),
        "large": RateLimits(requests=500, input_tokens=400_000, output_tokens=80_000),
    },
}
_PROVIDERS: dict[str, dict[str, object]] = {
    "openai": {},
    "anthropic": {"context_window": 200_000, "max_output_tokens": 64_000},
}
_ONES_OWN: dict[str, dict[str, object]] = {
    "text-embedding-3-large": {"dimensions": 3072},
}

# Names that the SDKs call current, and older ones that code still asks for.  The day is in the name of a
# model's snapshot, or is that on which its SDK came to know it.  A second day is that on which it retires, as
# Anthropic's SDK warns.
_MODELS = """
    openai     small   2024-07-18  gpt-4o-mini
    openai     small   2025-04-14  gpt-4.1-mini
    openai     small   2025-08-07  gpt-5-mini
    openai     small   2026-03-17  gpt-5.4-mini
    openai     small   2026-07-09  gpt-5.6-luna
    openai     small   2026-09-03  gpt-6-luna
    openai     medium  2024-05-13  gpt-4o
    openai     medium  2025-04-14  gpt-4.1
    openai     medium  2025-08-07  gpt-5
    openai     medium  2026-03-05  gpt-5.4
    openai     medium  2026-04-23  gpt-5.5
    openai     medium  2026-07-09  gpt-5.6-terra
    openai     medium  2026-10-26  gpt-6.1-terra
    openai     large   2025-12-11  gpt-5.2-pro
    openai     large   2026-07-09  gpt-5.6-sol
    openai     large   2026-11-09  gpt-6.2-sol
    openai     large   2026-09-03  gpt-6-astra
    openai     large   2026-11-09  gpt-6.2-astra
    openai     embeds  2024-01-25  text-embedding-3-small
    openai     embeds  2024-01-25  text-embedding-3-large
    openai     embeds  2022-12-15  text-embedding-ada-002
    anthropic  small   2025-10-01  claude-haiku-4-5
    anthropic  small   2026-10-07  claude-haiku-5-5
    anthropic  medium  2026-02-17  claude-sonnet-4-6
    anthropic  medium  2026-06-30  claude-sonnet-5
    anthropic  medium  2026-09-28  claude-sonnet-5-5
    anthropic  large   2026-05-28  claude-opus-4-8
    anthropic  large   2026-07-24  claude-opus-5
    anthropic  large   2026-09-22  claude-opus-5-5
    anthropic  large   2026-11-09  claude-fable-5-2
    anthropic  large   2026-11-09  claude-mythos-5-2
    anthropic  small   2024-10-22  claude-3-5-haiku-20241022    2026-02-19
    anthropic  small   2024-10-22  claude-3-5-haiku-latest      2026-02-19
    anthropic  small   2023-04-18  claude-instant-1.1           2024-11-06
    anthropic  small   2023-05-11  claude-instant-1.1-100k      2024-11-06
    anthropic  small   2023-08-09  claude-instant-1.2           2024-11-06
    anthropic  medium  2025-09-29  claude-sonnet-4-5            2026-11-30
    anthropic  medium  2025-09-29  claude-sonnet-4-5-20250929   2026-11-30
    anthropic  medium  2025-05-14  claude-sonnet-4-0            2026-06-15
    anthropic  medium  2025-05-14  claude-sonnet-4-20250514     2026-06-15
    anthropic  medium  2025-02-19  claude-3-7-sonnet-20250219   2026-02-19
    anthropic  medium  2025-02-19  claude-3-7-sonnet-latest     2026-02-19
    anthropic  medium  2024-02-29  claude-3-sonnet-20240229     2025-07-21
    anthropic  medium  2023-11-21  claude-2.1                   2025-07-21
    anthropic  medium  2023-07-11  claude-2.0                   2025-07-21
    anthropic  medium  2023-04-18  claude-1.3                   2024-11-06
    anthropic  medium  2023-05-11  claude-1.3-100k              2024-11-06
    anthropic  large   2025-11-01  claude-opus-4-5              2027-01-22
    anthropic  large   2025-11-01  claude-opus-4-5-20251101     2027-01-22
    anthropic  large   2025-05-14  claude-opus-4-0              2026-06-15
    anthropic  large   2025-05-14  claude-opus-4-20250514       2026-06-15
    anthropic  large   2024-02-29  claude-3-opus-20240229       2026-01-05
    anthropic  large   2026-04-07  claude-mythos-preview        2026-06-30
"""


def _profile(provider: str, kind: str, day: str, name: str, retires: str | None = None) -> ModelProfile:
    given = {"name": name, "provider": provider, "released": day, "limits": _LIMITS[provider][kind]}
    given["retires"] = retires
    if price := Prices.shipped().of(name, date.fromisoformat(day)):
        given |= {"input_price": price.input, "output_price": price.output}
    data = {**_PROVIDERS[provider], **_KINDS[kind], **_ONES_OWN.get(name, {}), **given}
    return ModelProfile.model_validate(data)


CATALOG = tuple(_profile(*line.split()) for line in _MODELS.strip().splitlines())

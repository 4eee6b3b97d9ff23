"""What a key may ask for: a minute, at once, and for its money; and how each provider says no."""

import asyncio
import re
from typing import Any

import anthropic
import openai
import pytest

from workbench.clock import run
from workbench.errors import ConfigurationError
from workbench.messages import Usage
from workbench.simulator import Latency, ModelProfile, RateLimits, Simulator

MESSAGES: Any = [{"role": "user", "content": "Why does jitter help?"}]
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-5"}
TOO_FAST = (openai.RateLimitError, anthropic.RateLimitError)
BOTH = pytest.mark.parametrize("kind", ["openai", "anthropic"])


def client_of(sim: Simulator, kind: str, **options: Any) -> Any:
    """A client without retries of its own."""
    return getattr(sim, kind)(max_retries=0, **options)


async def ask(client: Any, kind: str, **options: Any) -> Any:
    """One call."""
    asked = {"model": MODELS[kind], "messages": MESSAGES, "max_tokens": 50, **options}
    api = client.chat.completions if kind == "openai" else client.messages
    return await api.create(**asked)


def refused(sim: Simulator, kind: str, calls: int = 2, **options: Any) -> Any:
    """The error of the last of some calls, one after the other."""

    async def main() -> Any:
        client = client_of(sim, kind)
        for _ in range(calls - 1):
            await ask(client, kind, **options)
        with pytest.raises((*TOO_FAST, anthropic.BadRequestError)) as caught:
            await ask(client, kind, **options)
        return caught.value

    return run(main)


OPENAI = "for gpt-4o in organization org-simulated on"
ANTHROPIC = "This request would exceed your organization's rate limit of"


@pytest.mark.parametrize(
    ("kind", "limits", "message"),
    [
        (
            "openai",
            RateLimits(requests=1),
            rf"Rate limit reached {OPENAI} requests per min \(RPM\): Limit 1, Used 1, Requested 1\. "
            r"Please try again in 5\d\.\d+s\. Visit \S+ to learn more\.",
        ),
        (
            "openai",
            RateLimits(tokens=80),
            rf"Rate limit reached {OPENAI} tokens per min \(TPM\): Limit 80, Used \d\d, Requested \d\d\. "
            r"Please try again in \d+\.\d+s\. Visit \S+ to learn more\.",
        ),
        (
            "openai",
            RateLimits(tokens=50),
            rf"Request too large {OPENAI} tokens per min \(TPM\): Limit 50, Requested \d\d\. "
            r"The input or output tokens must be reduced in order to run successfully\. Visit .*",
        ),
        (
            "anthropic",
            RateLimits(requests=1),
            rf"{ANTHROPIC} 1 requests per minute \(org: simulated, model: claude-sonnet-5\)\. "
            r"For details, refer to: https\S+ You can see the response headers .*",
        ),
        ("anthropic", RateLimits(input_tokens=14), rf"{ANTHROPIC} 14 input tokens per minute .*"),
        ("anthropic", RateLimits(output_tokens=1), rf"{ANTHROPIC} 1 output tokens per minute .*"),
    ],
)
def test_each_provider_refuses_in_its_own_words(kind: str, limits: RateLimits, message: str) -> None:
    """Which limit, of which model, and what to do, as that provider says it."""
    sim = Simulator(limits=limits, script="ok")
    never = "too large" in message or "output tokens" in message  # it asks for more than the limit
    error = refused(sim, kind, 1 if never else 2)
    assert error.response.headers.get("x-should-retry") == ("false" if never else None)
    said = error.body["message"] if kind == "openai" else error.body["error"]["message"]
    assert re.fullmatch(message, said), said


@BOTH
def test_so_many_may_be_under_way_at_once(kind: str) -> None:
    """The limit holds for each key and model; whoever waits for an answer may ask again at once."""
    sim = Simulator(limits=RateLimits(concurrent=3), slots=2, script="one two three")

    async def main() -> None:
        client, other = client_of(sim, kind), client_of(sim, kind, api_key="another")
        model = {"openai": "gpt-5", "anthropic": "claude-opus-5"}[kind]
        calls = [ask(client, kind) for _ in range(5)]
        calls += [ask(other, kind), ask(client, kind, model=model)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(one, TOO_FAST) for one in results] == [False] * 3 + [True] * 2 + [False] * 2
        error: Any = results[3]
        words = {"openai": "on concurrent requests: Limit 3, Used 3", "anthropic": "Number of concurrent"}
        assert words[kind] in error.message
        assert "retry-after" not in error.response.headers
        assert "x-should-retry" not in error.response.headers
        for _ in range(3):
            await ask(client, kind)

    run(main)


def test_who_gives_up_is_no_longer_under_way() -> None:
    """A call that is cancelled makes room at that instant, as does a stream that is read to its end."""
    sim = Simulator(limits=RateLimits(concurrent=1), script="word " * 50)

    async def main() -> None:
        client = client_of(sim, "openai")
        call = asyncio.create_task(ask(client, "openai"))
        await asyncio.sleep(0.1)
        with pytest.raises(openai.RateLimitError):
            await ask(client, "openai")
        call.cancel()
        await asyncio.sleep(0)
        stream = await ask(client, "openai", stream=True)
        await anext(stream)
        with pytest.raises(openai.RateLimitError):
            await ask(client, "openai")
        async for _ in stream:
            pass
        await ask(client, "openai")

    run(main)


def test_a_refused_call_is_not_under_way() -> None:
    """Who is refused by another limit takes no place, and who has no place uses up no other limit."""
    sim = Simulator(limits=RateLimits(concurrent=1, requests=2), script="ok")

    async def main() -> None:
        client = client_of(sim, "openai")
        first = asyncio.create_task(ask(client, "openai"))
        await asyncio.sleep(0.01)
        for _ in range(5):
            with pytest.raises(openai.RateLimitError, match="concurrent"):
                await ask(client, "openai")
        await first
        await ask(client, "openai")
        for _ in range(2):
            with pytest.raises(openai.RateLimitError, match="RPM"):
                await ask(client, "openai")

    run(main)


def test_a_key_may_have_limits_of_its_own() -> None:
    """Where a key has limits, they stand in place of each model's."""
    limits = {"small": RateLimits(requests=1), "free": RateLimits()}
    sim = Simulator(limits=RateLimits(requests=2), key_limits=limits, script="ok")

    async def main() -> dict[str, int]:
        passed = {}
        for key in ("small", "free", "usual"):
            client = client_of(sim, "openai", api_key=key)
            answers = await asyncio.gather(*(ask(client, "openai") for _ in range(4)), return_exceptions=True)
            passed[key] = sum(not isinstance(answer, Exception) for answer in answers)
        return passed

    assert run(main) == {"small": 1, "free": 4, "usual": 2}


# -- money ---------------------------------------------------------------------------------------------


def test_the_price_of_a_call() -> None:
    """Fresh, cached, written and made tokens have their prices."""
    model = ModelProfile(name="m", provider="openai", input_price=2, output_price=8)
    usage = Usage(input_tokens=1_000_000, output_tokens=500_000)
    assert model.cost(usage) == pytest.approx(6)
    assert model.cost(usage + Usage(cached_tokens=1_000_000)) == pytest.approx(4.2)
    assert model.cost(usage + Usage(cache_write_tokens=1_000_000)) == pytest.approx(6.5)


@BOTH
def test_a_budget_ends(kind: str) -> None:
    """When a key's money is used up it is refused for good, in its provider's words; others are not."""
    price = {"input_price": 0, "output_price": 1e6 / 10}  # ten tokens a dollar
    model = ModelProfile(name=MODELS[kind], provider=kind, itl=Latency(mean=0.01), **price)  # type: ignore[arg-type]
    sim = Simulator(models=[model], budget=2, script="one two three four five six seven eight")
    error = refused(sim, kind, 4)
    body = error.body if kind == "openai" else error.body["error"]
    if kind == "openai":
        assert (error.status_code, error.code, body["type"]) == (
            429,
            "insufficient_quota",
            "insufficient_quota",
        )
        assert body["message"].startswith("You exceeded your current quota, please check your plan")
    else:
        assert (error.status_code, body["type"]) == (400, "invalid_request_error")
        assert body["message"].startswith("Your credit balance is too low to access the Anthropic API.")
    assert "retry-after" not in error.response.headers

    async def main() -> None:
        await asyncio.sleep(3600)
        with pytest.raises((openai.RateLimitError, anthropic.BadRequestError)):
            await ask(client_of(sim, kind), kind)
        await ask(client_of(sim, kind, api_key="another"), kind)

    run(main)
    assert [record.error for record in sim.log] == [None, None, None, "quota", "quota", None]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"budget": 0}, "budget must be a positive number of dollars, got 0"),
        ({"budget": float("nan")}, "got nan"),
        ({"key_limits": {"k": 3}}, "key_limits must be given as"),
    ],
)
def test_wrong_settings_are_refused(options: Any, complaint: str) -> None:
    """A setting that cannot be is named at once."""
    with pytest.raises(ConfigurationError, match=complaint):
        Simulator(**options)

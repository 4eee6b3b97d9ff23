"""The cache of prompts: what it finds, from when and until when."""

from hypothesis import given
from hypothesis import strategies as st

from workbench.simulator.exchange import Exchange, Schedule
from workbench.simulator.models import Gaps, Latency
from workbench.simulator.prompt_cache import PromptCache
from workbench.wire.dialect import Prefix

GAPS = Gaps(Latency(mean=0.01), "x")
LONG_PROMPT = [Prefix("a", 2000, 300), Prefix("ab", 3000), Prefix("abc", 4000, 300)]


def asked(at: float, first: float = 1.0) -> Exchange:
    """A request that is served from `at` on, and whose first token is made after `first` seconds."""
    exchange = Exchange(1, "anthropic", at, "req_1", start=at)
    exchange.schedule = Schedule(GAPS, 0, first, 10, 10, 0.0)
    return exchange


def test_what_is_kept_is_found() -> None:
    """The longest prefix that was kept is found, and one that was only looked for is not."""
    cache = PromptCache(1024)
    assert cache.find(LONG_PROMPT, 0) == 0
    assert cache.keep(LONG_PROMPT, 0, asked(0)) == 4000
    assert cache.find(LONG_PROMPT, 5) == 4000
    assert cache.find([Prefix("a", 2000), Prefix("ab", 3000, 300)], 5) == 2000
    assert cache.find([Prefix("b", 2000, 300)], 5) == 0


def test_a_prompt_is_there_once_its_answer_begins() -> None:
    """Two requests that come at once do not help each other."""
    cache = PromptCache(1024)
    cache.keep(LONG_PROMPT, 0, asked(0, first=2.0))
    assert cache.find(LONG_PROMPT, 1.9) == 0
    assert cache.find(LONG_PROMPT, 2.0) == 4000


def test_who_gives_up_before_leaves_nothing() -> None:
    """A prompt whose client went before the answer began is kept by the next one that came for it."""
    cache = PromptCache(1024)
    gone = asked(0)
    cache.keep(LONG_PROMPT, 0, gone)
    gone.cancelled_at = 0.5
    cache.keep(LONG_PROMPT, 0.2, asked(0.2, first=3.0))
    assert cache.find(LONG_PROMPT, 3.1) == 0
    assert cache.find(LONG_PROMPT, 3.2) == 4000


def test_a_place_in_the_queue_decides() -> None:
    """Of two that came for the same prompt, the first to be answered makes it there."""
    cache = PromptCache(1024)
    cache.keep(LONG_PROMPT, 0, asked(9))
    cache.keep(LONG_PROMPT, 0, asked(3))
    assert cache.find(LONG_PROMPT, 4) == 4000


def test_use_keeps_it_longer() -> None:
    """It is forgotten once it has not been used for its time; a longer one takes the place of a shorter."""
    cache = PromptCache(1024)
    cache.keep(LONG_PROMPT, 0, asked(0))
    cache.keep([Prefix("a", 2000)], 200, asked(200))
    assert cache.find(LONG_PROMPT, 300) == 4000
    assert cache.find(LONG_PROMPT, 301) == 2000
    assert cache.find(LONG_PROMPT, 501) == 0
    cache.keep([Prefix("a", 2000, 3600)], 501, asked(501))
    assert cache.find(LONG_PROMPT, 4000) == 2000


@given(st.integers(1, 9999), st.integers(1, 9999))
def test_short_prompts_are_not_worth_it(tokens: int, minimum: int) -> None:
    """Below the minimum, nothing is kept."""
    cache = PromptCache(minimum)
    prompt = [Prefix("a", tokens, 300)]
    assert cache.keep(prompt, 0, asked(0)) == (tokens if tokens >= minimum else 0)
    assert cache.find(prompt, 9) == (tokens if tokens >= minimum else 0)


def test_it_does_not_grow_for_ever() -> None:
    """What is forgotten is swept out."""
    cache = PromptCache(1)
    for second in range(5000):
        cache.keep([Prefix(f"{second}", 10, 5)], second, asked(second))
    assert len(cache._entries) < 600

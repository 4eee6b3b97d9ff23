"""The ledger: what the provider charged for is what is written down, whoever asked by whichever API."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.clock import run
from workbench.errors import ConfigurationError
from workbench.ledger import Ledger, fingerprint, usage_of
from workbench.messages import Completion, Request, Usage
from workbench.prices import Price, Prices
from workbench.providers import AnthropicProvider, OpenAIProvider
from workbench.simulator import Simulator
from workbench.simulator.catalog import CATALOG

KEY = "sk-test-" + "a" * 24
LONG: Any = [{"role": "user", "content": "Say it again: " + "word " * 3000}]
CACHED: Any = [
    {
        "role": "user",
        "content": [{"type": "text", "text": LONG[0]["content"], "cache_control": {"type": "ephemeral"}}],
    }
]


async def chat(sim: Simulator) -> Any:
    return await sim.openai().chat.completions.create(model="gpt-5.5", messages=LONG)


async def chat_stream(sim: Simulator) -> Any:
    create = sim.openai().chat.completions.create
    usage: Any = {"include_usage": True}
    chunks = [
        c async for c in await create(model="gpt-5.5", messages=LONG, stream=True, stream_options=usage)
    ]
    return chunks[-1]


async def responses(sim: Simulator) -> Any:
    return await sim.openai().responses.create(model="gpt-5.5", input=LONG[0]["content"])


async def claude(sim: Simulator) -> Any:
    return await sim.anthropic().messages.create(model="claude-sonnet-5", messages=CACHED, max_tokens=50)


async def embeddings(sim: Simulator) -> Any:
    return await sim.openai().embeddings.create(model="text-embedding-3-small", input=["one", "two"])


async def ours(sim: Simulator) -> Any:
    return await OpenAIProvider(sim.openai()).complete(
        Request.model_validate({"model": "gpt-5.5", "messages": LONG[0]["content"]})
    )


async def ours_claude(sim: Simulator) -> Any:
    asked = {"model": "claude-sonnet-5", "messages": "Why?", "thinking_tokens": 1024, "max_tokens": 2000}
    return await AnthropicProvider(sim.anthropic()).complete(Request.model_validate(asked))


APIS = [chat, chat_stream, responses, claude, embeddings, ours, ours_claude]


@pytest.mark.parametrize("ask", APIS, ids=lambda ask: ask.__name__)
def test_what_is_written_down_is_what_the_provider_charged_for(
    ask: Callable[[Simulator], Awaitable[Any]],
) -> None:
    """Tokens, those from its cache included, and cost are the provider's own."""
    sim, ledger = Simulator(seed=1), Ledger()

    async def main() -> list[Any]:
        return [await ask(sim), await ask(sim)]

    answers = run(main)
    for answer, record in zip(answers, sim.log, strict=True):
        usage = usage_of(answer)
        assert (usage.input_tokens, usage.output_tokens) == (record.input_tokens, record.output_tokens)
        (model,) = (model for model in CATALOG if model.name == record.model)
        assert ledger.add(answer) == pytest.approx(model.cost(usage))
    if ask in (chat, chat_stream, responses, claude, ours):
        assert usage_of(answers[1]).cached_tokens > 2000
    if ask is ours_claude:
        assert usage_of(answers[0]).thinking_tokens > 0
    assert len(ledger) == 2


def completion(model: str = "gpt-5.5", **tokens: int) -> Completion:
    return Completion(id="r1", model=model, usage=Usage(**tokens))


def filled(path: Path | str = ":memory:") -> Ledger:
    ledger = Ledger(path, prices=Prices([Price(input=1, output=10)]))
    for _ in range(9):
        ledger.add(completion(input_tokens=1000, output_tokens=100), caller="chat", service="web", key=KEY)
    big = completion("big", input_tokens=100_000, output_tokens=1000)
    ledger.add(big, caller="summaries", service="batch", key=KEY)
    return ledger


def test_the_expensive_caller_comes_first() -> None:
    """Callers are ordered by what they cost, not by how often they call."""
    table = filled().by("caller")
    assert list(table.index) == ["summaries", "chat"]
    assert table["calls"].tolist() == [1, 9]
    assert table["input_tokens"].tolist() == [100_000, 9_000]
    assert table["cost"].tolist() == pytest.approx([0.11, 0.018])
    assert table["share"].sum() == pytest.approx(1)


def test_sums_by_several_columns() -> None:
    """Service, key and day can be summed by together; a key is shown by its fingerprint alone."""
    ledger = filled()
    table = ledger.by("service", "key", "day")
    assert list(table.index.names) == ["service", "key", "day"]
    assert set(table.index.get_level_values("key")) == {fingerprint(KEY)}
    assert len(ledger.by("key")) == 1
    assert KEY not in f"{ledger!r} {table} {ledger.to_frame().to_csv()}"


def test_the_day_is_that_of_the_clock() -> None:
    """In virtual time, a call of the second day is counted for it."""
    ledger = Ledger()

    async def main() -> None:
        ledger.add(completion())
        await asyncio.sleep(86_400)
        ledger.add(completion())

    run(main)
    assert sorted(ledger.by("day").index) == ["2025-01-01", "2025-01-02"]
    assert ledger.to_frame()["at"].diff().iloc[1].total_seconds() == 86_400


def test_a_file_keeps_what_was_written(tmp_path: Path) -> None:
    """A ledger in a file is complete after every call, for this process and another, and goes on later."""
    path = tmp_path / "spend.sqlite"
    with filled(path) as ledger:
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT count(*) FROM calls").fetchone() == (10,)
        other.close()
        cost = ledger.cost
    with Ledger(path) as again:
        assert len(again) == 10
        assert again.cost == cost
        again.add(completion())
        assert again.to_frame()["request"].tolist() == ["r1"] * 11
    assert KEY.encode() not in path.read_bytes()


def test_many_threads_lose_nothing() -> None:
    """Calls that threads record at the same time are all there."""
    ledger = Ledger()

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(ledger.add, completion()) for _ in range(200)))

    run(main, virtual=False)
    assert len(ledger) == 200


def test_what_has_no_price_is_counted_and_said() -> None:
    """A model without a price costs nothing that is known; its tokens count, and the table says so."""
    ledger = Ledger()
    assert ledger.add(completion("mine", input_tokens=7)) is None
    ledger.add(completion(input_tokens=1_000_000))
    table = ledger.by("model")
    assert table["unpriced"].to_dict() == {"gpt-5.5": 0, "mine": 1}
    assert table.loc["mine", "input_tokens"] == 7
    assert ledger.cost == 2.5
    assert ledger.to_frame()["cost"].isna().tolist() == [True, False]
    assert repr(ledger) == "<Ledger: 2 calls, $2.5000>"


def test_an_empty_ledger() -> None:
    """Without calls there are no rows and no costs."""
    ledger = Ledger()
    assert ledger.by("caller").empty
    assert ledger.to_frame().empty
    assert ledger.cost == 0


def test_errors_say_what_to_do() -> None:
    """A column that is none, and an answer without usage, are refused with what would do."""
    ledger = Ledger()
    with pytest.raises(ValueError, match=r"one or more of caller, service, .*got \('customer',\)"):
        ledger.by("customer")
    with pytest.raises(ValueError, match=r"got \(\)"):
        ledger.by()
    with pytest.raises(TypeError, match=r"this object has no usage; of a stream, the last chunk has it"):
        ledger.add(object())


# -- prices --------------------------------------------------------------------------------------------


def test_a_price_that_changes() -> None:
    """The newest price that is not younger than the call counts; before all of them, the oldest."""
    prices = Prices([Price(since=date(2026, m, 1), models=("gpt-*",), input=m) for m in (6, 3)])
    costs = [prices.of("gpt-5", date(2026, month, day)) for month, day in ((1, 1), (5, 31), (6, 1), (9, 9))]
    assert [price and price.input for price in costs] == [3, 3, 6, 6]


def test_the_longest_pattern_counts() -> None:
    """A name beats a pattern, and a longer pattern a shorter one, whatever their order."""
    rows = [Price(models=(p,), input=i) for i, p in enumerate(["gpt-5-mini", "*", "gpt-5*", "gpt-*"])]
    prices = Prices(rows)
    found = {name: prices.of(name, date(2026, 1, 1)) for name in ("gpt-5-mini", "gpt-5.5", "gpt-4o", "x")}
    assert [price and price.input for price in found.values()] == [0, 2, 3, 1]
    assert Prices(rows[:1]).of("x", date(2026, 1, 1)) is None


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    """A file of rows replaces the shipped table."""
    path = tmp_path / "mine.toml"
    path.write_text('[[price]]\nsince = 2026-01-01\nmodels = ["mine"]\ninput = 2\noutput = 8\n')
    ledger = Ledger(prices=Prices.load(path))
    assert ledger.add(completion("mine", input_tokens=1_000_000, output_tokens=500_000)) == 6


@pytest.mark.parametrize("text", ["", "price = 3", "[[price]]\ninput = -1", "[[price]]\nin = 1", "[["])
def test_a_file_that_is_no_table(tmp_path: Path, text: str) -> None:
    """It is refused by name."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"mine.toml' is no table of \[\[price\]\] rows"):
        Prices.load(path)


@given(*[st.integers(0, 10**6)] * 4)
def test_a_cost_is_the_sum_of_its_parts(fresh: int, read: int, written: int, output: int) -> None:
    """What each kind of token costs adds up, and none is paid for twice."""
    price = Price(input=3, output=15, cache_read=0.1, cache_write=1.25)
    whole = Usage(
        input_tokens=fresh + read + written,
        cached_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
    )
    parts = 3 * fresh + 0.3 * read + 3.75 * written + 15 * output
    assert price.cost(whole) == pytest.approx(parts / 1e6)

"""Scenario files: those that come with the workbench, those of a user, and what is wrong with them."""

import asyncio
import contextlib
import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.clock import run
from workbench.errors import ConfigurationError
from workbench.messages import ToolCall
from workbench.simulator import CATALOG, Faults, FaultWindow, RateLimits, Simulator
from workbench.simulator.scenario import Scenario, names

QUESTION: Any = [{"role": "user", "content": "Why does jitter help?"}]
SHIPPED = (
    "azure-code azure-conversation brown-out calm conformance flaky-streams keys outage rate-limited".split()  # noqa: SIM905 - they read as a list
)


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def asked(sim: Simulator, times: int = 1, every: float = 0.0) -> None:
    """Ask as often, in virtual time, at equal intervals; the log tells what came of it."""

    async def main() -> None:
        ask = sim.openai(max_retries=0, api_key="sk-simulated-admin").chat.completions.create
        tasks = []
        for _ in range(times):
            tasks.append(asyncio.create_task(ask(model="gpt-5.5", messages=QUESTION)))
            await asyncio.sleep(every)
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main)


def test_the_names_that_are_shipped() -> None:
    """The list of names is the list of files."""
    assert names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_scenario(name: str) -> None:
    """Each scenario loads, has a title, and makes a simulator that answers as it says."""
    assert Scenario.load(name).title
    sim = Simulator.from_scenario(name)
    asked(sim)
    assert len(sim.log) == 1
    assert sim.log[0].error in (None, "reset")


def test_calm_is_the_default() -> None:
    """The scenario "calm" is what a simulator is without any settings."""
    settings = Scenario.load("calm").settings()
    assert settings == Scenario().settings()
    assert settings.pop("faults") == Faults()
    logs = []
    for sim in (Simulator(), Simulator.from_scenario("calm")):
        asked(sim, 3)
        logs.append(sim.log.digest())
    assert logs[0] == logs[1]


def test_rate_limited_limits() -> None:
    """In "rate-limited" the requests above thirty are refused by 429."""
    sim = Simulator.from_scenario("rate-limited")
    asked(sim, 32)
    statuses = sim.log.statuses()
    assert statuses == {200: 30, 429: 2}


def test_an_outage_and_its_recovery() -> None:
    """In "outage" nothing is answered from second 30 to 60, some of it until 120, and then everything."""
    sim = Simulator.from_scenario("outage")
    asked(sim, 500, 0.3)
    records = list(sim.log)
    down = [r for r in records if 30 <= r.arrival < 60]
    shaky = [r for r in records if 60 <= r.arrival < 120]
    well = [r for r in records if r.arrival < 30 or r.arrival >= 120]
    assert {r.error for r in down} == {"overloaded"}
    failed = sum(r.error == "overloaded" for r in shaky) / len(shaky)
    assert 0.15 < failed < 0.45
    assert {r.outcome for r in well} == {"ok"}


@pytest.mark.parametrize(
    ("name", "mu", "sigma"), [("azure-conversation", 5.019, 0.859), ("azure-code", 2.788, 0.847)]
)
def test_answers_are_as_long_as_in_the_trace(name: str, mu: float, sigma: float) -> None:
    """The lengths of the answers have the lognormal distribution that was fitted to Azure's trace."""
    for model in Scenario.load(name).models:
        rng = random.Random(1)
        logs = [math.log(model.answer_tokens.draw(rng)) for _ in range(20_000)]
        mean = sum(logs) / len(logs)
        deviation = math.sqrt(sum((x - mean) ** 2 for x in logs) / len(logs))
        assert mean == pytest.approx(mu, abs=4 * sigma / math.sqrt(20_000) + 0.005)
        assert deviation == pytest.approx(sigma, rel=0.03)


def test_another_seed() -> None:
    """A seed that is given counts instead of the scenario's own."""
    assert Simulator.from_scenario("outage")._engine.seed == 2
    assert Simulator.from_scenario("outage", seed=9)._engine.seed == 9


def test_a_file_says_everything(tmp_path: Path) -> None:
    """A file sets whatever a simulator can be told."""
    scenario = Scenario.load(
        written(
            tmp_path,
            """
            title = "all"
            seed = 7
            slots = 3
            edge_latency = 0.5
            max_body_bytes = 1000
            lenient = true
            keys = ["a", "b"]
            [limits]
            requests = 60
            [[models]]
            provider = "openai"
            name = "gpt-5.5"
            ttft = { mean = 2, cv = 0.1, shape = "gamma" }
            [[models]]
            provider = "anthropic"
            name = "new"
            [faults]
            error_rate = 0.5
            outages = [{ start = 1, end = inf, kind = "refuse" }]
            windows = [{ start = 1, end = 2, stall_rate = 1 }]
            [script]
            why = "because"
            tool = [{ name = "f", arguments = "{}" }]
            """,
        )
    )
    assert (scenario.seed, scenario.slots, scenario.lenient, scenario.limits) == (
        7,
        3,
        True,
        RateLimits(requests=60),
    )
    assert scenario.keys == {"a": None, "b": None}
    known, new = scenario.models
    built_in = next(m for m in CATALOG if m.name == "gpt-5.5")
    assert known == built_in.model_copy(update={"ttft": known.ttft})
    assert (new.name, new.ttft) == ("new", type(new).model_fields["ttft"].default)
    assert scenario.faults.outages[0].end == math.inf
    assert scenario.script == {"why": "because", "tool": [ToolCall(id="", name="f", arguments="{}")]}
    Simulator.from_scenario(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('script = "yes"', ["yes"] * 2),
        ('script = ["one", "two"]', ["one", "two"]),
        ('[script]\njitter = "J"', ["J"] * 2),
    ],
)
def test_scripts(tmp_path: Path, text: str, said: list[str]) -> None:
    """A script in a file is a text, a list of answers, or a table from a part of the prompt to the answer."""

    async def main() -> list[str | None]:
        client = Simulator.from_scenario(written(tmp_path, text)).openai()
        answers = [await client.chat.completions.create(model="gpt-5.5", messages=QUESTION) for _ in said]
        return [answer.choices[0].message.content for answer in answers]

    assert run(main) == said


def test_scopes(tmp_path: Path) -> None:
    """A table of keys gives each its scopes, and "all" is all of them."""
    scenario = Scenario.load(written(tmp_path, '[keys]\na = "all"\nb = ["messages"]\nc = []'))
    assert scenario.keys == {"a": None, "b": ("messages",), "c": ()}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = \n", "mine.toml is no TOML: Invalid value (at line 1, column 5)"),
        ("seed = '1'", "seed: Input should be a valid integer, got '1'"),
        ("seed = true", "seed: Input should be a valid integer, got True"),
        ("slots = 0", "slots: Input should be greater than or equal to 1, got 0"),
        ("edge_latency = nan", "edge_latency: Input should be a finite number, got nan"),
        (
            "speed = 1",
            "speed: there is no such setting; allowed are title, seed, models, limits, slots, faults",
        ),
        (
            "[faults]\nrate = 1",
            "faults.rate: there is no such setting; allowed are error_rate, overload_rate",
        ),
        ("[faults]\nerror_rate = 1.5", "faults.error_rate: Input should be less than or equal to 1, got 1.5"),
        (
            "[[faults.windows]]\nstart = 3\nend = 3",
            "faults.windows[0]: a window ends after its start, 3.0, not at 3.0",
        ),
        (
            "[[faults.windows]]\nstart = 3\nend = 4\nkind = 'x'",
            "faults.windows[0].kind: there is no such setting; allowed are error_rate",
        ),
        (
            "[limits]\nrpm = 3",
            "limits.rpm: there is no such setting; allowed are requests, tokens, input_tokens",
        ),
        ("[[models]]\nname = 'x'", "models[0].provider: is missing"),
        (
            "[[models]]\nname = 'x'\nprovider = 'azure'",
            "models[0].provider: Input should be 'openai' or 'anthropic', got 'azure'",
        ),
        (
            "[[models]]\nname = 'x'\nprovider = 'openai'\nttft = { mean = 1, sd = 2 }",
            "models[0].ttft.sd: there is no such setting; allowed are mean, cv, shape",
        ),
        ("models = 3", "models: Input should be a valid tuple, got 3"),
        ("models = [3]", "models[0]: Input should be a valid dictionary or instance of ModelProfile, got 3"),
        ("[keys]\nb = 'some'", "keys.b: the scopes of a key are a list, or \"all\", got 'some'"),
        ("keys = [[1], 2]", "keys: keys are texts, got [[1], 2]"),
        ("script = 3", "script: an answer is a text, or a list of tool calls"),
        ("[script]\nx = [{ nme = 'f' }]", "script: an answer is a text, or a list of tool calls"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, text: str, complaint: str) -> None:
    """An error names the file, the place, the value, and what is allowed."""
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        Scenario.load(path)
    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)


def test_no_such_scenario(tmp_path: Path) -> None:
    """A name that is none is told apart from a file that cannot be read."""
    with pytest.raises(
        ConfigurationError, match="no scenario 'clam': it is neither a file nor one of azure-code,"
    ):
        Scenario.load("clam")
    with pytest.raises(ConfigurationError, match="cannot read the scenario"):
        Scenario.load(tmp_path)
    (tmp_path / "x.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="cannot read the scenario"):
        Scenario.load(tmp_path / "x.toml")


def test_the_documentation(tmp_path: Path) -> None:
    """The page on the server names each scenario that is shipped, and its example is one that loads."""
    page = (Path(__file__).parent.parent / "docs" / "server.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in names())
    example = page.partition("```toml\n")[2].partition("```")[0]
    assert Scenario.load(written(tmp_path, example)).title == "An afternoon"


TOML = st.recursive(
    st.booleans()
    | st.integers(-5, 5)
    | st.floats(width=16)
    | st.text(st.characters(codec="ascii"), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*Scenario.model_fields, "mean", "start", "end", "name", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*Scenario.model_fields, "x"]), TOML, max_size=4))
def test_any_file_loads_or_is_explained(
    tmp_path_factory: pytest.TempPathFactory, settings: dict[str, Any]
) -> None:
    """Whatever a file says, it is a scenario, or a ConfigurationError."""
    text = "".join(f"{name} = {toml(value)}\n" for name, value in settings.items())
    path = tmp_path_factory.mktemp("fuzz") / "s.toml"
    path.write_text(text)
    with contextlib.suppress(ConfigurationError):
        Simulator.from_scenario(path)


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value).replace("\x7f", r"\u007f")


# -- faults by time ------------------------------------------------------------------------------------


def test_a_window_changes_what_it_says() -> None:
    """In a window its own rates hold, and the others stay as they are; the end is outside."""
    faults = Faults(error_rate=0.1, stall_rate=0.2, windows=(FaultWindow(start=60, end=120, error_rate=0.3),))
    assert faults.at(59.9) is faults
    assert faults.at(120) is faults
    inside = faults.at(60)
    assert (inside.error_rate, inside.stall_rate) == (0.3, 0.2)


def test_a_window_can_switch_faults_off() -> None:
    """A rate that a window sets to 0 is 0 there."""
    faults = Faults(error_rate=1, windows=(FaultWindow(start=1, end=2, error_rate=0),))
    assert [faults.at(now).error_rate for now in (0, 1, 2)] == [1, 0, 1]


def test_of_two_windows_the_later_one_counts() -> None:
    """Where windows overlap, the one later in the list wins, for what it sets."""
    first = FaultWindow(start=0, end=10, error_rate=0.1, reset_rate=0.1)
    faults = Faults(windows=(first, FaultWindow(start=5, end=15, error_rate=0.2)))
    assert [(faults.at(now).error_rate, faults.at(now).reset_rate) for now in (1, 6, 12)] == [
        (0.1, 0.1),
        (0.2, 0.1),
        (0.2, 0),
    ]


def test_faults_come_and_go() -> None:
    """The provider fails in the window, and at no other time."""
    faults = Faults(windows=(FaultWindow(start=10, end=20, error_rate=1),))
    sim = Simulator(faults=faults)
    asked(sim, 20, 1)
    for record in sim.log:
        assert (record.error == "server_error") == (10 <= record.arrival < 20)
    assert sim.log.outcomes()["failed"] > 2

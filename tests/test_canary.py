"""A planted key goes through everything that keeps or shows text, and comes out nowhere.

Through the notebooks it goes in `make test`: they run with it as the environment's key, and are compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import traceback
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

import workbench as wb
from tools import secret_scan
from workbench.errors import ProviderError
from workbench.redaction import RedactingFilter
from workbench.simulator import Simulator
from workbench.widgets import StreamBoard
from workbench.widgets.views import frozen

CANARY = "sk-proj-" + "Canary0" * 4
QUESTION: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}
CLAUDE: Any = {**QUESTION, "model": "claude-sonnet-5", "max_tokens": 40}


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary is the key of both SDKs."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)


def clients(sim: Simulator, tape: wb.Cassette | None = None) -> list[Any]:
    """Both SDKs' clients, which take their key from the environment."""
    made: list[Any] = []
    for name, sdk in (("openai", openai.AsyncOpenAI), ("anthropic", anthropic.AsyncAnthropic)):
        transport = sim.async_transport(name)  # type: ignore[arg-type]  # a text of two
        http = tape.async_client(transport) if tape else httpx2.AsyncClient(transport=transport)
        made.append(sdk(http_client=http, max_retries=0))
    return made


async def calls(sim: Simulator, tape: wb.Cassette | None = None) -> list[Any]:
    """Answers and errors of both, whole and streamed."""
    gpt, claude = clients(sim, tape)
    seen: list[Any] = [gpt, claude, wb.OpenAIProvider(gpt), wb.AnthropicProvider(claude)]
    request = wb.Request.model_validate({"model": "gpt-4o", "messages": "Why?"})
    for call in (
        lambda: gpt.chat.completions.create(**QUESTION),
        lambda: claude.messages.create(**CLAUDE),
        lambda: wb.OpenAIProvider(gpt).complete(request),
        lambda: wb.AnthropicProvider(claude).complete(request),
        lambda: gpt.models.retrieve("nothing"),
    ):
        try:
            seen.append(await call())
        except (ProviderError, openai.APIError, anthropic.APIError) as error:
            seen += [error, "".join(traceback.format_exception(error))]
    return seen


@pytest.mark.parametrize("accepted", [True, False])
def test_nothing_of_a_call_shows_the_key(accepted: bool, caplog: pytest.LogCaptureFixture) -> None:
    """No repr, error, traceback, trace or log has the key, whether it is accepted or not."""
    caplog.set_level(logging.DEBUG)
    caplog.handler.addFilter(RedactingFilter())
    sim = Simulator(keys=[CANARY] if accepted else ["another"])
    with wb.recording() as trace:
        seen = wb.run(lambda: calls(sim))
    shown = [f"{thing!r} {thing}" for thing in [*seen, sim, sim.log, trace, *trace]]
    shown += [sim.log.to_frame().to_string(), trace.to_frame().to_string(), caplog.text]
    assert len(sim.log) == 5
    assert [each for each in shown if CANARY in each] == []


def test_no_cassette_has_the_key(tmp_path: Path) -> None:
    """Neither headers nor an answer that repeats the key bring it into the file."""
    path = tmp_path / "tape.yaml"
    sim = Simulator(script=lambda _: f"Is it {CANARY}?")
    with wb.Cassette(path, mode="record") as tape:
        wb.run(lambda: calls(sim, tape))
    assert "Is it " in path.read_text()
    assert CANARY not in path.read_text()


def test_no_widget_has_the_key() -> None:
    """A board's state and its frozen form are without it."""

    async def main() -> StreamBoard:
        provider = wb.OpenAIProvider(clients(Simulator(keys=["another"]))[0])
        asked = wb.Request.model_validate({"model": "gpt-4o", "messages": "Why?"})
        async with StreamBoard() as board:
            with contextlib.suppress(ProviderError):
                await board.follow(provider.stream(asked), "Why?")
        return board

    board = wb.run(main)
    shown = [repr(board), board.to_frame().to_string(), json.dumps(frozen(board.panes, 9.0))]
    assert [each for each in shown if CANARY in each] == []


def test_the_scan_finds_the_canary_by_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `make test` relies on: a file with the environment's key is found, whatever the key's form."""
    monkeypatch.setenv("OTHER_API_KEY", "of-no-known-form")
    leak = tmp_path / "leak.ipynb"
    leak.write_text('{"text": "it is of-no-known-form"}')
    assert secret_scan.main([str(leak)]) == 1
    leak.write_text("{}")
    assert secret_scan.main([str(leak)]) == 0

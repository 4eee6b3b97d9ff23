"""vcrpy and we read each other's cassettes; it, and pytest-recording, work against the simulated provider."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import vcr  # type: ignore[import-untyped]  # it ships none
import yaml

from tests.loopback import serving
from workbench.cassettes import Cassette, export_vcr, import_vcr
from workbench.cassettes.exchange import Ending, Exchange, RecordedRequest
from workbench.cassettes.file import dump, load
from workbench.errors import CassetteFormatError
from workbench.simulator import Latency, ModelProfile, Simulator

ROOT = Path(__file__).parent.parent
KEY = "sk-proj-" + "AbCdEf0123456789" * 2
MODELS = [
    ModelProfile(name="m", provider=provider, ttft=Latency(mean=0.01), itl=Latency(mean=0.001))
    for provider in ("openai", "anthropic")
]
SDKS: dict[str, Any] = {
    "openai": openai.AsyncOpenAI,
    "openai_sync": openai.OpenAI,
    "anthropic": anthropic.AsyncAnthropic,
    "anthropic_sync": anthropic.Anthropic,
}
clients = pytest.mark.parametrize("kind", SDKS)
streams = pytest.mark.parametrize("stream", [True, False])


@pytest.fixture
def url() -> Iterator[str]:
    """A provider over HTTP."""
    with serving(Simulator(models=MODELS, script="Grüße 😀 aus Köln", edge_latency=0.001)) as url:
        yield url


def hear(kind: str, url: str, stream: bool, tape: Cassette | None = None) -> list[Any]:
    """What one of the four clients hears of one question."""
    options = {"api_key": KEY, "max_retries": 0, "base_url": url if "anthropic" in kind else f"{url}/v1"}
    question: Any = {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "stream": stream}
    if kind.endswith("_sync"):
        with SDKS[kind](**options, http_client=tape and tape.client()) as client:
            answer = ask(client, question)
            return [said.to_dict() for said in (answer if stream else [answer])]

    async def main() -> list[Any]:
        async with SDKS[kind](**options, http_client=tape and tape.async_client()) as client:
            answer = await ask(client, question)
            return [said.to_dict() async for said in answer] if stream else [answer.to_dict()]

    return asyncio.run(main())


def ask(client: Any, question: dict[str, Any]) -> Any:
    """Ask by the method that the client has for it."""
    if hasattr(client, "chat"):
        return client.chat.completions.create(**question)
    return client.messages.create(**question, max_tokens=99)


@clients
@streams
def test_vcrpy_replays_what_we_export(tmp_path: Path, url: str, kind: str, stream: bool) -> None:
    """Our recording of a provider over HTTP, exported, is replayed by vcrpy itself, which sends nothing."""
    ours, theirs = tmp_path / "ours.yaml", tmp_path / "theirs.yaml"
    with Cassette(ours, mode="record") as tape:
        first = hear(kind, url, stream, tape)
    assert export_vcr(ours, theirs) == []
    with vcr.use_cassette(str(theirs), record_mode="none", match_on=["method", "uri", "body"]) as played:
        assert hear(kind, url, stream) == first
        assert played.all_played


@clients
@streams
def test_we_replay_what_vcrpy_recorded(tmp_path: Path, url: str, kind: str, stream: bool) -> None:
    """What vcrpy recorded of the provider, imported, is replayed by us; its keys are gone."""
    ours, theirs = tmp_path / "ours.yaml", tmp_path / "theirs.yaml"
    with vcr.use_cassette(str(theirs), record_mode="all"):
        first = hear(kind, url, stream)
    assert KEY in theirs.read_text()
    import_vcr(theirs, ours)
    assert hear(kind, "http://another.invalid", stream, Cassette(ours)) == first
    assert KEY not in ours.read_text()


def test_an_export_joins_the_chunks(tmp_path: Path, url: str) -> None:
    """What comes back from vcrpy's format is one body without its times; the rest is the same."""
    ours, theirs, back = (tmp_path / f"{name}.yaml" for name in ("ours", "theirs", "back"))
    with Cassette(ours, mode="record") as tape:
        hear("openai_sync", url, True, tape)
    export_vcr(ours, theirs)
    import_vcr(theirs, back)
    (before,), (after,) = load(ours), load(back)
    assert before.response is not None
    assert after.response is not None
    assert len(before.response.parts) > 3
    assert [part.at for part in after.response.parts] == [0]
    assert after.response.body == before.response.body
    assert after.response.headers == before.response.headers
    assert (after.request, after.response.status) == (before.request, 200)


def test_an_export_says_what_it_leaves_out(tmp_path: Path) -> None:
    """vcrpy's format holds whole answers only: the others are left out, and returned."""
    ours, theirs = tmp_path / "ours.yaml", tmp_path / "theirs.yaml"
    request = RecordedRequest(method="GET", url="http://h/x")
    failed = Exchange(request=request, end=Ending(at=1, how="ConnectError"))
    ours.write_text(dump([failed]))
    assert export_vcr(ours, theirs) == [failed]
    assert yaml.safe_load(theirs.read_text()) == {"interactions": [], "version": 1}


GOOD = """\
interactions:
- request: {body: null, headers: {x-api-key: [abc]}, method: GET, uri: 'http://h/x?key=abc'}
  response:
    body: {string: !!binary "/w=="}
    headers: {Content-Type: [text/plain], Set-Cookie: [a=b, c=d], X-A: [b, c]}
    status: {code: 299, message: null}
version: 1
"""


def test_an_import_takes_what_vcrpy_writes(tmp_path: Path) -> None:
    """Bodies that are null or bytes, several headers of one name, and statuses of nobody's are read."""
    (tmp_path / "theirs.yaml").write_text(GOOD)
    import_vcr(tmp_path / "theirs.yaml", tmp_path / "ours.yaml")
    (exchange,) = load(tmp_path / "ours.yaml")
    assert exchange.request == RecordedRequest(method="GET", url="http://h/x?key=*REDACTED*")
    assert exchange.response is not None
    assert (exchange.response.status, exchange.response.body) == (299, b"\xff")
    assert exchange.response.headers == {"content-type": "text/plain", "x-a": "b, c"}
    export_vcr(tmp_path / "ours.yaml", tmp_path / "theirs.yaml")
    with vcr.use_cassette(str(tmp_path / "theirs.yaml"), record_mode="none") as cassette:
        (response,) = cassette.responses
    assert (response["status"], response["body"]) == ({"code": 299, "message": ""}, {"string": b"\xff"})


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("version: 1", "version: 2", "not vcrpy's, or not version 1"),
        (GOOD, "- request: {}", "not vcrpy's, or not version 1"),
        ("method: GET", "verb: GET", r"x.yaml:2: interactions\[0\].request.method: Field required"),
        ("X-A: [b, c]", "X-A: 5", r"x.yaml:5: interactions\[0\].response.headers.X-A"),
        ("code: 299", "code: OK", r"x.yaml:6: interactions\[0\].response.status.code: "),
        ("interactions:", "interactions: [", "x.yaml:[0-9]: this is no YAML"),
    ],
)
def test_an_import_names_what_is_wrong(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """What is damaged, or not vcrpy's, is an error with its place, and nothing is written."""
    assert old in GOOD
    (tmp_path / "x.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(CassetteFormatError, match=complaint):
        import_vcr(tmp_path / "x.yaml", tmp_path / "ours.yaml")
    assert not (tmp_path / "ours.yaml").exists()


def test_vcrpys_cassette_is_recognized(tmp_path: Path) -> None:
    """Who takes vcrpy's file for ours is told how to convert it."""
    (tmp_path / "x.yaml").write_text(GOOD)
    with pytest.raises(
        CassetteFormatError, match=r"it is vcrpy's: convert it by workbench\.cassettes\.import_vcr"
    ):
        Cassette(tmp_path / "x.yaml")


RECORDED_TEST = """
import os, openai, pytest

@pytest.mark.vcr
def test_it():
    with openai.OpenAI(api_key="none", base_url=os.environ["PROVIDER"] + "/v1", max_retries=0) as client:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Why?"}])
    assert answer.choices[0].message.content == "Grüße 😀 aus Köln"
"""


def test_pytest_recording(tmp_path: Path) -> None:
    """pytest-recording records a test against the provider, and passes it again when that has gone."""
    (tmp_path / "test_recorded.py").write_text(RECORDED_TEST, encoding="utf-8")
    (tmp_path / "pytest.ini").touch()

    def run_it(url: str, *options: str) -> str:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_recording.plugin", *options]
        environment = {**os.environ, "PROVIDER": url, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
        )
        return done.stdout

    with serving(Simulator(models=MODELS, script="Grüße 😀 aus Köln")) as url:
        assert "1 passed" in run_it(url, "--record-mode=once")
    assert "1 passed" in run_it(url, "--record-mode=none", "--block-network")
    (theirs,) = tmp_path.glob("cassettes/*/*.yaml")
    import_vcr(theirs, tmp_path / "ours.yaml")
    (exchange,) = load(tmp_path / "ours.yaml")
    assert exchange.response is not None
    assert "Grüße 😀 aus Köln" in exchange.response.body.decode()

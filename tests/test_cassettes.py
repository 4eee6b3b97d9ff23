"""Cassettes under the real SDK clients: what is recorded comes again, in its time, and nothing is sent."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

import workbench as wb
from tests.loopback import serving
from workbench.cassettes import Cassette
from workbench.errors import CassetteError, ConfigurationError, MissingRecordingError
from workbench.simulator import Faults, Latency, ModelProfile, Simulator

KEY = "sk-proj-AbCdEf0123456789AbCdEf0123456789"  # pragma: allowlist secret
ROOT = Path(__file__).parent.parent
KINDS = ["openai", "openai_sync", "anthropic", "anthropic_sync"]
SDKS: dict[str, Any] = {
    "openai": openai.AsyncOpenAI,
    "openai_sync": openai.OpenAI,
    "anthropic": anthropic.AsyncAnthropic,
    "anthropic_sync": anthropic.Anthropic,
}
QUICK = [
    ModelProfile(name="m", provider=provider, ttft=Latency(mean=0.01), itl=Latency(mean=0.005))
    for provider in ("openai", "anthropic")
]
clients = pytest.mark.parametrize("kind", KINDS)
streams = pytest.mark.parametrize("stream", [True, False])


class Nowhere(httpx2.MockTransport):
    """A way to the network that nobody may take."""

    def __init__(self) -> None:
        super().__init__(self._refuse)

    def _refuse(self, request: httpx2.Request) -> httpx2.Response:
        raise AssertionError(f"{request.url} was sent")


def simulator(script: Any = "one two three four", **options: Any) -> Simulator:
    """Models "m": a first token after 2 s, then one in 0.1 s."""
    models = [
        ModelProfile(
            name="m",
            provider=provider,
            ttft=Latency(mean=1.98),
            itl=Latency(mean=0.1),
            slots=100,
            prefill_tokens_per_second=1e12,
        )
        for provider in ("openai", "anthropic")
    ]
    return Simulator(models=models, script=script, **options)


def client_of(kind: str, tape: Cassette, sim: Simulator | None = None, **options: Any) -> Any:
    """A real client whose HTTP goes through the tape, and from there to the simulator or nowhere."""
    provider: Any = kind.removesuffix("_sync")
    if kind.endswith("_sync"):
        http: Any = tape.client(sim.transport(provider) if sim else Nowhere())
    else:
        http = tape.async_client(sim.async_transport(provider) if sim else Nowhere())
    return SDKS[kind](**{"api_key": KEY, "max_retries": 0, "http_client": http, **options})


def ask(client: Any, content: str = "Why?", **options: Any) -> Any:
    """The same question by any of the four kinds of client."""
    messages: Any = [{"role": "user", "content": content}]
    if isinstance(client, openai.AsyncOpenAI | openai.OpenAI):
        return client.chat.completions.create(model="m", messages=messages, **options)
    return client.messages.create(model="m", messages=messages, max_tokens=99, **options)


async def hear(client: Any, content: str = "Why?", *, stream: bool = True, **options: Any) -> list[Any]:
    """What any of the four kinds of client hears, and when; a sync client in a thread."""

    def listen() -> list[Any]:
        answer = ask(client, content, stream=stream, **options)
        return [(wb.now(), said.to_dict()) for said in (answer if stream else [answer])]

    if isinstance(client, openai.OpenAI | anthropic.Anthropic):
        return await asyncio.to_thread(listen)
    answer = await ask(client, content, stream=stream, **options)
    if not stream:
        return [(wb.now(), answer.to_dict())]
    return [(wb.now(), said.to_dict()) async for said in answer]


def record(path: Path, kind: str = "openai", sim: Simulator | None = None, **options: Any) -> list[Any]:
    """Record one question in virtual time."""
    with Cassette(path, mode="record") as tape:
        return wb.run(lambda: hear(client_of(kind, tape, sim or simulator()), **options))


def replay(path: Path, kind: str = "openai", pace: Any = "recorded", **options: Any) -> list[Any]:
    """Replay one question in virtual time."""
    with Cassette(path, pace=pace) as tape:
        heard = wb.run(lambda: hear(client_of(kind, tape), **options))
        assert tape.unplayed == []
        return heard


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a cassette may be."""
    return tmp_path / "cassettes" / "tape.yaml"


# -- what comes again --------------------------------------------------------------------------------------


@clients
@streams
def test_a_replay_is_what_was_recorded_at_the_same_times(path: Path, kind: str, stream: bool) -> None:
    """Each of the four clients hears the same events at the same instants, and the network nothing."""
    first = record(path, kind, stream=stream)
    assert first[-1][0] == pytest.approx(2.3 if not stream else first[-1][0])
    assert replay(path, kind, stream=stream) == first


@clients
@streams
def test_an_instant_replay_takes_no_time(path: Path, kind: str, stream: bool) -> None:
    """At the instant pace the same events come, and the virtual clock stands still."""
    first = record(path, kind, stream=stream)
    again = replay(path, kind, "instant", stream=stream)
    assert [said for _, said in again] == [said for _, said in first]
    assert {at for at, _ in again} == {0.0}


@pytest.mark.parametrize("there", KINDS)
@pytest.mark.parametrize("back", KINDS)
@streams
def test_sync_and_async_clients_share_cassettes(path: Path, there: str, back: str, stream: bool) -> None:
    """What a sync client recorded an async one can replay, and the other way round."""
    if there.split("_")[0] == back.split("_")[0]:
        first = record(path, there, stream=stream)
        assert replay(path, back, stream=stream) == first


@pytest.mark.parametrize("sync", [True, False])
def test_the_chunks_keep_their_bounds(path: Path, sync: bool) -> None:
    """Each chunk comes again as it was cut, also within a character, and at its time."""
    sim = simulator("häßliche Grüße 😀 aus Köln", faults=Faults(split_characters=True))
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Why?"}]}
    url, headers = "http://any.invalid/v1/chat/completions", {"authorization": f"Bearer {KEY}"}

    async def chunks(tape: Cassette, sim: Simulator | None) -> list[tuple[float, bytes]]:
        if sync:
            client = tape.client(sim.transport("openai") if sim else None)
            with client.stream("POST", url, json=body, headers=headers) as answer:
                return [(wb.now(), part) for part in answer.iter_raw()]
        http = tape.async_client(sim.async_transport("openai") if sim else None)
        async with http.stream("POST", url, json=body, headers=headers) as answer:
            return [(wb.now(), part) async for part in answer.aiter_raw()]

    with Cassette(path, mode="record") as tape:
        first = wb.run(lambda: chunks(tape, sim))
    with Cassette(path, pace="recorded") as tape:
        assert wb.run(lambda: chunks(tape, None)) == first
    assert len(first) > 5
    with pytest.raises(UnicodeDecodeError):
        [part.decode() for _, part in first]


def test_any_stream_of_an_inner_transport(path: Path) -> None:
    """An inner transport may give any stream: one that is read already, or iterates over what it likes."""

    class Listed(httpx2.SyncByteStream, httpx2.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a", b"b"])

        def __aiter__(self) -> Any:
            return Counted()

    class Counted:
        left = 2

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return b"a" if self.left else b"b"

        def __aiter__(self) -> Any:
            return self

    streams = iter([httpx2.ByteStream(b"ab"), Listed(), httpx2.ByteStream(b"ab"), Listed(), None])

    def answer(request: httpx2.Request) -> httpx2.Response:
        stream = next(streams)
        return httpx2.Response(200, stream=stream) if stream else httpx2.Response(200, content=b"ab")

    async def main(tape: Cassette) -> None:
        assert [(await tape.async_client(inner).get("http://h/x")).content for _ in range(3)] == [b"ab"] * 3

    inner = httpx2.MockTransport(answer)
    with Cassette(path, mode="record") as tape:
        assert [tape.client(inner).get("http://h/x").content for _ in range(2)] == [b"ab"] * 2
        wb.run(lambda: main(tape))
    assert [exchange.response and len(exchange.response.parts) for exchange in tape.exchanges] == [
        1,
        2,
        1,
        2,
        1,
    ]
    wb.run(lambda: main(Cassette(path)))


def test_the_recorded_pace_on_the_wall_clock(path: Path) -> None:
    """Outside of virtual time the recorded delays pass in real time, and no longer."""
    first = record(path, sim=Simulator(models=QUICK, script="one two three"))

    with Cassette(path, pace="recorded", after_last="repeat") as tape:
        for kind in ("openai", "openai_sync"):
            start = time.monotonic()
            again = asyncio.run(hear(client_of(kind, tape)))
            waited = [at - start for at, _ in again]
            assert all(late >= early[0] for late, early in zip(waited, first, strict=True))
            assert waited[0] < first[-1][0] + 1


def test_the_file_is_for_people(path: Path) -> None:
    """Text stands as text, event by event, with the times; nothing depends on the machine."""
    record(path, sim=simulator("one two"))
    text = path.read_text(encoding="utf-8")
    head = """\
# HTTP, recorded by workbench without its secrets; times are seconds since the request was sent.
workbench_cassette: 1
exchanges:
- request:
    method: POST
    url: https://api.openai.com/v1/chat/completions
    headers:
      accept: application/json
      content-type: application/json
    body: |-
      {"model":"m","stream":true,"messages":[{"role":"user","content":"Why?"}]}
  response:
    at: 0.02
    status: 200
"""
    assert text.startswith(head)
    assert '\n      body: |+\n        data: {"id":' in text
    assert '"delta":{"content":" two"}' in text
    assert text.endswith("\n  end:\n    at: 2.1\n    how: complete\n")


# -- time ------------------------------------------------------------------------------------------------


@clients
@streams
def test_a_read_timeout_ends_a_slow_replay(path: Path, kind: str, stream: bool) -> None:
    """The client's read timeout is exact in a replay: before the head, and between two chunks."""
    sim = simulator(faults=Faults(stall_rate=1, stall_seconds=60), seed=3)
    times = [at for at, _ in record(path, kind, sim, stream=stream, timeout=600)]

    async def main() -> float:
        client = client_of(kind, Cassette(path, pace="recorded"))
        with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError, httpx2.ReadTimeout)):
            await hear(client, stream=stream, timeout=5)
        return wb.now()

    ended = wb.run(main)
    # the last thing that came before the minute's silence, and the head if there was none
    last = max([at for at in times if at < 60], default=0.02 if stream else 0.0)
    assert ended == pytest.approx(last + 5, abs=1e-6)


def test_an_answer_at_the_last_instant_is_in_time(path: Path) -> None:
    """A timeout as long as the recorded answer took does not end its replay."""
    (first,) = record(path, stream=False)
    assert first[0] == pytest.approx(2.3)
    assert replay(path, stream=False, timeout=first[0]) == [first]


def test_a_recorded_timeout_times_out_again(path: Path) -> None:
    """Who gave up after a second gives up after a second again; at the instant pace, at once."""

    async def main(client: Any) -> float:
        with pytest.raises(openai.APITimeoutError):
            await hear(client, stream=False, timeout=1)
        return wb.now()

    with Cassette(path, mode="record") as tape:
        assert wb.run(lambda: main(client_of("openai", tape, simulator()))) == pytest.approx(1)
    assert tape.exchanges[0].end.how == "ReadTimeout"
    assert wb.run(lambda: main(client_of("openai", Cassette(path, pace="recorded")))) == pytest.approx(1)
    assert wb.run(lambda: main(client_of("openai", Cassette(path)))) == 0


# -- who leaves early ------------------------------------------------------------------------------------


async def leave(client: Any) -> list[Any]:
    """Hear two events of a stream, and close it."""
    heard = []
    if isinstance(client, openai.OpenAI | anthropic.Anthropic):
        with ask(client, stream=True) as answer:
            for said in answer:
                heard.append(said.to_dict())
                if len(heard) == 3:
                    return heard
    async with await ask(client, stream=True) as answer:
        async for said in answer:
            heard.append(said.to_dict())
            if len(heard) == 3:
                break
    return heard


@clients
@pytest.mark.parametrize("pace", ["instant", "recorded"])
def test_a_stream_that_was_left_is_kept_as_far_as_it_came(path: Path, kind: str, pace: Any) -> None:
    """The file says that the client left; who leaves there again notices nothing; who reads on is told."""
    with Cassette(path, mode="record") as tape:
        first = wb.run(lambda: leave(client_of(kind, tape, simulator())))
    (exchange,) = tape.exchanges
    assert (exchange.end.how, exchange.end.message) == ("left", "closed")
    assert b"four" not in exchange.response.body  # type: ignore[union-attr]  # it has one

    with Cassette(path, pace=pace, after_last="repeat") as tape:
        assert wb.run(lambda: leave(client_of(kind, tape))) == first
        with pytest.raises(MissingRecordingError, match=r"ends after .* s, where the client left it"):
            wb.run(lambda: hear(client_of(kind, tape)))


def test_who_was_cancelled_can_be_cancelled_again(path: Path) -> None:
    """A call that was cancelled before its answer is recorded; its replay is silent for longer than that."""

    async def main(tape: Cassette, sim: Simulator | None = None, patience: float = 1) -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(hear(client_of("openai", tape, sim), stream=False), patience)
        return wb.now()

    with Cassette(path, mode="record") as tape:
        assert wb.run(lambda: main(tape, simulator())) == 1
    (exchange,) = tape.exchanges
    assert (exchange.response, exchange.end.how, exchange.end.at) == (None, "left", 1)
    for patience in (0.5, 1, 1.5):  # on the wall clock no two timeouts are quite the same
        tape = Cassette(path, pace="recorded")
        assert wb.run(functools.partial(main, tape, None, patience)) == patience
    with pytest.raises(MissingRecordingError, match="CancelledError"):
        replay(path, stream=False)
    with pytest.raises(MissingRecordingError, match='use pace="recorded"'):
        wb.run(lambda: main(Cassette(path)))


@pytest.mark.parametrize("length", [4, 6])
def test_a_client_that_needs_no_more_has_not_left(path: Path, length: int) -> None:
    """Who closes a stream that is as long as its length has it all, though it has not looked for the end."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-length": f"{length}"}, content=iter([b"ab", b"cd"]))

    tape = Cassette(path, mode="record")
    with tape.client(httpx2.MockTransport(answer)).stream("GET", "http://h/x") as response:
        parts = response.iter_raw()
        assert [next(parts), next(parts)] == [b"ab", b"cd"]
    assert tape.exchanges[0].end.how == ("complete" if length == 4 else "left")


def test_what_is_open_at_the_end_is_written_as_left(path: Path) -> None:
    """A stream that nobody has closed when the cassette ends is on it as far as it came."""

    async def main() -> None:
        with Cassette(path, mode="record") as tape:
            answer = await ask(client_of("openai", tape, simulator()), stream=True)
            await anext(answer)
        await answer.close()

    wb.run(main)
    (exchange,) = Cassette(path).exchanges
    assert (exchange.end.how, exchange.end.message) == ("left", "the recording ended first")


@pytest.mark.parametrize("sync", [True, False])
def test_a_second_reader_goes_on_where_the_first_was(path: Path, sync: bool) -> None:
    """A stream is one, however often it is iterated over: OpenAI's client reads what is left by itself."""

    class Twice(httpx2.SyncByteStream, httpx2.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from [b"a", b"b", b"c"]

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in self:
                yield part

    async def main(tape: Cassette) -> list[bytes]:
        if sync:
            with tape.client(inner).stream("GET", "http://h/x") as answer:
                stream: Any = answer.stream
                return [next(iter(stream)), *stream]
        async with tape.async_client(inner).stream("GET", "http://h/x") as answer:
            stream = answer.stream
            first = aiter(stream)
            return [await anext(first), *[part async for part in stream]]

    inner = httpx2.MockTransport(lambda request: httpx2.Response(200, stream=Twice()))
    with Cassette(path, mode="record") as tape:
        assert wb.run(lambda: main(tape)) == [b"a", b"b", b"c"]
    assert wb.run(lambda: main(Cassette(path))) == [b"a", b"b", b"c"]
    assert [e.end.how for e in tape.exchanges] == ["complete"]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_who_leaves_a_real_stream_leaves_nothing_behind(path: Path, kind: str) -> None:
    """A stream over a socket that is left early is closed at once, and the client can go on."""
    script = "one two three four five six"

    async def main(url: str) -> None:
        inner = httpx2.AsyncHTTPTransport()
        with Cassette(path, mode="record") as tape:
            base = f"{url}/v1" if kind == "openai" else url
            async with SDKS[kind](api_key=KEY, base_url=base, http_client=tape.async_client(inner)) as client:
                await leave(client)
                assert inner._pool.connections == []
                assert len(await hear(client)) > 4
                assert len(asyncio.all_tasks()) == 1
        assert [exchange.end.how for exchange in tape.exchanges] == ["left", "complete"]

    with serving(Simulator(models=QUICK, script=script, edge_latency=0.001)) as url:
        asyncio.run(main(url))


# -- several requests ------------------------------------------------------------------------------------


VARIED = [
    ModelProfile(name="m", provider=provider, ttft=Latency(mean=1, cv=0.5), itl=Latency(mean=0.1, cv=0.5))
    for provider in ("openai", "anthropic")
]


async def crowd(tape: Cassette, sim: Simulator | None = None) -> list[Any]:
    """Forty requests at once by all four kinds of client, several of them equal."""
    four = [client_of(kind, tape, sim) for kind in KINDS]

    async def one(number: int) -> Any:
        await asyncio.sleep(number % 7 / 10)
        return await hear(four[number % 4], f"question {number % 20}", stream=number % 3 == 0)

    return await asyncio.gather(*(one(number) for number in range(40)))


def record_a_crowd(path: Path | str) -> list[Any]:
    """What forty hear while they are recorded."""
    with Cassette(path, mode="record") as tape:
        return wb.run(lambda: crowd(tape, Simulator(seed=5, slots=4, models=VARIED)))


def test_concurrent_requests_do_not_interfere(path: Path) -> None:
    """Forty requests at once, async and in threads, come again as they came, each at its time."""
    first = record_a_crowd(path)
    with Cassette(path, pace="recorded") as tape:
        again = wb.run(lambda: crowd(tape))
        assert tape.unplayed == []
    assert again == first


def test_the_same_program_gives_the_same_file(tmp_path: Path) -> None:
    """In virtual time a process with other hashes writes the same bytes, in the order of arrival."""
    mine, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    record_a_crowd(mine)
    program = f"from tests.test_cassettes import record_a_crowd; record_a_crowd({str(other)!r})"
    hashes = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": hashes}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=ROOT)
    assert mine.read_bytes() == other.read_bytes()
    numbers = re.findall(r'"question (\d+)"', mine.read_text())
    instants = [{number % 20 for number in range(40) if number % 7 == tenth} for tenth in range(7)]
    for instant in instants:  # those that were asked at one instant, whatever their answers took
        arrived = [int(numbers.pop(0)) for number in range(40) if number % 7 == instants.index(instant)]
        assert set(arrived) == instant


def test_equal_requests_are_replayed_in_their_order(path: Path) -> None:
    """What was asked three times is answered as it was, first, second and third."""
    words = ["first", "second", "third"]

    async def main(tape: Cassette, sim: Simulator | None = None) -> list[str]:
        client = client_of("openai", tape, sim)
        return [(await ask(client)).choices[0].message.content for _ in words]

    with Cassette(path, mode="record") as tape:
        assert wb.run(lambda: main(tape, simulator(list(words)))) == words
    assert wb.run(lambda: main(Cassette(path))) == words


def test_after_the_last_recording(path: Path) -> None:
    """Asked once more, a request is an error; or it gets its last recording again, where that is wished."""
    record(path)
    tape = Cassette(path)
    wb.run(lambda: hear(client_of("openai", tape)))
    with pytest.raises(MissingRecordingError, match="recorded once, and asked for once more"):
        wb.run(lambda: hear(client_of("openai", tape)))
    tape = Cassette(path, after_last="repeat")
    first, *others = [wb.run(lambda: hear(client_of("openai", tape))) for _ in range(4)]
    assert others == [first] * 3


# -- what is missing -------------------------------------------------------------------------------------


@clients
@streams
def test_a_missing_recording_is_an_error_that_shows_the_nearest(path: Path, kind: str, stream: bool) -> None:
    """Every client raises it at once, itself and without retries; it shows what differs, and no key."""
    with Cassette(path, mode="record") as tape:
        wb.run(lambda: hear(client_of(kind, tape, simulator()), "Why is the sky blue?", stream=stream))
        wb.run(lambda: hear(client_of(kind, tape, simulator()), "Who are you?", stream=stream))

    async def main() -> float:
        client = client_of(kind, Cassette(path), max_retries=2)
        with pytest.raises(MissingRecordingError) as caught:
            await hear(client, f"Why is the sky grey, {KEY}?", stream=stream)
        text = str(caught.value)
        assert "number 1 (- recorded, + asked for)" in text
        assert '- messages[0].content: "Why is the sky blue?"' in text
        assert '+ messages[0].content: "Why is the sky grey, *REDACTED*?"' in text
        assert "nothing was sent" in text
        assert KEY not in text + repr(caught.value)
        return wb.now()

    assert wb.run(main) == 0


def test_an_empty_cassette_says_so(path: Path) -> None:
    """Where nothing is recorded, the error says that there is nothing near."""
    with Cassette(path, mode="record"):
        pass
    with pytest.raises(MissingRecordingError, match="nor of anything else"):
        replay(path)


# -- modes and files -------------------------------------------------------------------------------------


def test_nothing_to_replay(path: Path) -> None:
    """A cassette that is not there is an error from the start, with what to do."""
    with pytest.raises(MissingRecordingError, match=r'there is no cassette at .*mode="record"'):
        Cassette(path)


def test_auto_records_once(path: Path) -> None:
    """Auto records where there is no file, and replays where there is one, whatever is missing in it."""
    with Cassette(path, mode="auto") as tape:
        assert tape.mode == "record"
        first = wb.run(lambda: hear(client_of("openai", tape, simulator())))
    with Cassette(path, mode="auto", pace="recorded") as tape:
        assert tape.mode == "replay"
        assert wb.run(lambda: hear(client_of("openai", tape))) == first
        with pytest.raises(MissingRecordingError):
            wb.run(lambda: hear(client_of("openai", tape), "Something else?"))


def test_record_replaces(path: Path) -> None:
    """Recording again writes the file anew."""
    record(path, sim=simulator("old"))
    record(path, sim=simulator("new"))
    assert "old" not in path.read_text(encoding="utf-8")


def test_the_environment_may_choose_the_mode(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """WORKBENCH_CASSETTES says what a cassette without a mode does; an argument overrules it."""
    monkeypatch.setenv("WORKBENCH_CASSETTES", "record")
    with Cassette(path) as tape:
        assert tape.mode == "record"
    assert Cassette(path, mode="replay").mode == "replay"
    monkeypatch.setenv("WORKBENCH_CASSETTES", "on")
    with pytest.raises(ConfigurationError, match=r"WORKBENCH_CASSETTES must be 'replay' or .* got 'on'"):
        Cassette(path)


@pytest.mark.parametrize("options", [{"mode": "once"}, {"pace": 2}, {"after_last": None}, {"secrets": "x"}])
def test_a_wrong_argument(path: Path, options: Any) -> None:
    """Each argument that is wrong is named, with what is allowed."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(options))} must be"):
        Cassette(path, **options)


def test_a_block_that_fails_leaves_the_file_alone(path: Path) -> None:
    """What an error cut short is not written: the old recording stays, and the error says so."""
    record(path, sim=simulator("old"))
    before = path.read_bytes()

    def fail() -> None:
        with Cassette(path, mode="record") as tape:
            wb.run(lambda: hear(client_of("openai", tape, simulator("new"))))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        fail()
    assert path.read_bytes() == before
    assert caught.value.__notes__ == [f"{str(path)!r} was not written, since its block failed"]


def test_a_crash_while_writing_leaves_the_file_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is replaced in one step: where that fails, the old one is there, and no other."""
    record(path)
    before = path.read_bytes()

    def full(*args: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        record(path, sim=simulator("new"))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_closed_cassette_records_no_more(path: Path) -> None:
    """A request after the end of its block would be lost, and is an error instead."""
    with Cassette(path, mode="record") as tape:
        client = client_of("openai_sync", tape, simulator())
    with pytest.raises(CassetteError, match="is closed"):
        ask(client)


def test_saving_without_a_block(path: Path) -> None:
    """A notebook may save by hand, more than once; a replay has nothing to save."""
    tape = Cassette(path, mode="record")
    for number in (1, 2):
        wb.run(lambda: hear(client_of("openai", tape, simulator())))
        tape.save()
        assert len(Cassette(path).exchanges) == number
    before = path.read_bytes()
    Cassette(path).save()
    assert path.read_bytes() == before


def test_its_repr_is_short(path: Path) -> None:
    """The repr says where it is and how far, and shows nothing of what is on it."""
    with Cassette(path, mode="record") as tape:
        wb.run(lambda: hear(client_of("openai", tape, simulator())))
        assert repr(tape) == f"<Cassette {str(path)!r}: 1 recorded>"
    assert repr(Cassette(path)) == f"<Cassette {str(path)!r}: 1 left to replay>"


def test_the_network_is_refused_in_virtual_time(path: Path) -> None:
    """A recording from the real network on a virtual clock would time out at once, and is refused."""

    tape = Cassette(path, mode="record")
    made_before = openai.AsyncOpenAI(api_key=KEY, http_client=tape.async_client())

    async def main() -> None:
        for make in (tape.client, tape.async_client):
            with pytest.raises(ConfigurationError, match="cannot answer in virtual time"):
                make()
        with pytest.raises(ConfigurationError, match="cannot answer in virtual time"):
            await ask(made_before)

    wb.run(main)


# -- in use ----------------------------------------------------------------------------------------------


@pytest.fixture
def tape(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cassette]:
    """The three lines of the documentation."""
    with Cassette(tmp_path / f"{request.node.name}.yaml", mode="auto") as tape:
        yield tape


def test_a_fixture_in_three_lines(tape: Cassette) -> None:
    """A test takes the fixture, and gives its client to the SDK."""
    client = client_of("openai_sync", tape, simulator())
    assert wb.run(lambda: asyncio.to_thread(ask, client)).choices[0].message.content == "one two three four"


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_over_http(path: Path, kind: str) -> None:
    """Auto mode around httpx2's own transports records a provider behind a socket; then it may be gone."""

    async def main(url: str) -> list[Any]:
        with Cassette(path, mode="auto") as tape, contextlib.ExitStack() as stack:
            base = f"{url}/v1" if "openai" in kind else url
            if kind.endswith("_sync"):
                client = SDKS[kind](
                    api_key=KEY, base_url=base, http_client=stack.enter_context(tape.client())
                )
                return [said for _, said in await hear(client)]
            async with tape.async_client() as http:
                return [
                    said for _, said in await hear(SDKS[kind](api_key=KEY, base_url=base, http_client=http))
                ]

    with serving(Simulator(models=QUICK, script="one two three", edge_latency=0.001)) as url:
        first = asyncio.run(main(url))
    assert len(first) > 4
    assert asyncio.run(main("http://another.invalid")) == first
    (exchange,) = Cassette(path).exchanges
    assert exchange.end.how == "complete"
    assert KEY not in path.read_text(encoding="utf-8")

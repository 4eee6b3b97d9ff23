"""What goes wrong on a real connection is recorded, and goes wrong again in the same way."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

import workbench as wb
from tests.loopback import HEAD, chunk, closed_port, listening, saying
from workbench.cassettes import Cassette
from workbench.cassettes.exchange import Ending, Exchange, RecordedRequest, error_class
from workbench.cassettes.file import dump
from workbench.errors import MissingRecordingError
from workbench.simulator import Faults, Simulator

KEY = "sk-proj-" + "AbCdEf0123456789" * 2
FIRST = b'data: {"n": 1}\n\n'


@contextlib.contextmanager
def refused() -> Iterator[str]:
    """Nobody listens."""
    yield closed_port()


@contextlib.contextmanager
def answering(*said: bytes, reset: bool = False, silent: bool = False) -> Iterator[str]:
    """A server that says this and closes the connection, resets it, or falls silent."""
    done = threading.Event()
    with listening(saying(*said, reset=reset, hold=done if silent else None)) as url:
        try:
            yield url
        finally:
            done.set()


Server = Callable[[], contextlib.AbstractContextManager[str]]

# what goes wrong, the server, what httpx2 raises, and the parts that come before that
FAILURES: dict[str, tuple[Server, type[Exception], list[bytes]]] = {
    "refused": (refused, httpx2.ConnectError, []),
    "closed before the head": (answering, httpx2.RemoteProtocolError, []),
    "reset before the head": (lambda: answering(reset=True), httpx2.ReadError, []),
    "no HTTP": (lambda: answering(b"hello\r\n\r\n"), httpx2.RemoteProtocolError, []),
    "silent before the head": (lambda: answering(silent=True), httpx2.ReadTimeout, []),
    "closed in mid-stream": (
        lambda: answering(HEAD, chunk(FIRST)),
        httpx2.RemoteProtocolError,
        [FIRST],
    ),
    "reset in mid-stream": (
        lambda: answering(HEAD, chunk(FIRST), reset=True),
        httpx2.ReadError,
        [FIRST],
    ),
    "silent in mid-stream": (
        lambda: answering(HEAD, chunk(FIRST), silent=True),
        httpx2.ReadTimeout,
        [FIRST],
    ),
}


async def hear(tape: Cassette, url: str, *, sync: bool) -> tuple[list[bytes], Exception]:
    """What comes of one request, and the error in which it ends."""
    timeout = httpx2.Timeout(5, read=0.5)
    heard: list[bytes] = []
    try:
        if sync:
            with tape.client(timeout=timeout) as client, client.stream("GET", f"{url}/x") as answer:
                heard += answer.iter_raw()
        async with tape.async_client(timeout=timeout) as http, http.stream("GET", f"{url}/x") as response:
            async for part in response.aiter_raw():
                heard.append(part)
    except httpx2.TransportError as error:
        return heard, error
    raise AssertionError("nothing went wrong")


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_comes_again(tmp_path: Path, name: str, sync: bool) -> None:
    """A failure on a socket is raised again: its class, its message, the bytes before it, and its time."""
    server, kind, parts = FAILURES[name]
    path = tmp_path / "tape.yaml"
    with server() as url, Cassette(path, mode="record") as tape:
        heard, error = asyncio.run(hear(tape, url, sync=sync))
    assert type(error) is kind
    assert b"".join(heard) == b"".join(parts)
    (exchange,) = tape.exchanges
    assert (exchange.end.how, exchange.end.message) == (kind.__name__, str(error))
    assert (exchange.response is None) == (not parts)

    for pace in ("instant", "recorded"):
        replay = Cassette(path, pace=pace)

        async def main(tape: Cassette = replay) -> tuple[list[bytes], Exception, float]:
            return *await hear(tape, "http://h", sync=sync), wb.now()

        heard_again, again, at = wb.run(main)
        assert (heard_again, type(again), str(again)) == (heard, kind, str(error))
        assert again.request.url == "http://h/x"  # type: ignore[attr-defined]  # an httpx2.RequestError
        if pace == "instant":
            assert at == 0
        elif kind is httpx2.ReadTimeout:  # the first one's came a little late, as they do on the wall clock
            assert exchange.end.at - 1 < at <= exchange.end.at + 1e-6
        else:
            assert at == pytest.approx(exchange.end.at, abs=1e-6)


def test_who_is_cancelled_in_mid_stream_leaves_nothing_behind(tmp_path: Path) -> None:
    """A client that is cancelled while it waits for more has its connection closed; the file says so."""

    async def main(url: str) -> None:
        inner = httpx2.AsyncHTTPTransport()
        with Cassette(tmp_path / "tape.yaml", mode="record") as tape:
            async with tape.async_client(inner) as http, http.stream("GET", f"{url}/x") as answer:
                parts = answer.aiter_raw()
                assert await anext(parts) == FIRST
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(parts), 0.05)
            assert inner._pool.connections == []
        (exchange,) = tape.exchanges
        assert (exchange.end.how, exchange.end.message) == ("left", "CancelledError")
        assert exchange.response is not None
        assert exchange.response.body == FIRST

    with answering(HEAD, chunk(FIRST), silent=True) as url:
        asyncio.run(main(url))


ALL = sorted(name for name in httpx2.__all__ if error_class(name))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_the_sdks_take_every_error_as_a_real_one(tmp_path: Path, name: str, kind: str) -> None:
    """Each error that a transport can raise becomes the SDK's own, as it does on a real connection."""
    path = tmp_path / "tape.yaml"
    body = b'{"messages":[{"role":"user","content":"Why?"}],"model":"m"}'
    url, more = ("/v1/chat/completions", b"") if kind == "openai" else ("/v1/messages", b',"max_tokens":9')
    request = RecordedRequest(
        method="POST",
        url=f"http://h{url}",
        headers={"content-type": "application/json"},
        body=body[:-1] + more + b"}",
    )
    path.write_text(dump([Exchange(request=request, end=Ending(at=3, how=name, message="as it was"))]))

    sdk: Any = {"openai": openai, "anthropic": anthropic}[kind]
    timed_out = issubclass(getattr(httpx2, name), httpx2.TimeoutException)
    wanted = sdk.APITimeoutError if timed_out else sdk.APIConnectionError

    async def main() -> float:
        http = Cassette(path, pace="recorded").async_client()
        messages: Any = [{"role": "user", "content": "Why?"}]
        if kind == "openai":
            ask: Any = openai.AsyncOpenAI(
                api_key=KEY, http_client=http, max_retries=0
            ).chat.completions.create
        else:
            claude = anthropic.AsyncAnthropic(api_key=KEY, http_client=http, max_retries=0)
            ask = functools.partial(claude.messages.create, max_tokens=9)
        with pytest.raises(wanted) as caught:
            await ask(model="m", messages=messages)
        assert type(caught.value.__cause__) is getattr(httpx2, name)
        assert str(caught.value.__cause__) == "as it was"
        return wb.now()

    assert wb.run(main) == 3


@pytest.mark.parametrize("name", ["ConnectTimeout", "PoolTimeout", "WriteError"])
def test_a_read_timeout_has_no_part_in_connecting(tmp_path: Path, name: str) -> None:
    """What went wrong before anything could be read comes at its time, however short the read timeout."""
    path = tmp_path / "tape.yaml"
    request = RecordedRequest(method="GET", url="http://h/x")
    path.write_text(dump([Exchange(request=request, end=Ending(at=3, how=name))]))

    async def main() -> float:
        with pytest.raises(getattr(httpx2, name)):
            await Cassette(path, pace="recorded").async_client(timeout=1).get("http://h/x")
        return wb.now()

    assert wb.run(main) == 3


def test_an_error_of_a_transports_own_class_is_its_nearest(tmp_path: Path) -> None:
    """A class that an inner transport derived from one of httpx2's is recorded as that one."""

    class OwnError(httpx2.ReadError):
        pass

    def fail(request: httpx2.Request) -> httpx2.Response:
        raise OwnError("broken")

    path = tmp_path / "tape.yaml"
    with Cassette(path, mode="record") as tape, pytest.raises(OwnError):
        tape.client(httpx2.MockTransport(fail)).get("http://h/x")
    with pytest.raises(httpx2.ReadError, match="broken"):
        Cassette(path).client().get("http://h/x")


def test_a_program_error_in_a_transport_is_no_answer(tmp_path: Path) -> None:
    """What is not httpx2's cannot come again: the recording says where it ends, and its replay, too."""

    def fail(request: httpx2.Request) -> httpx2.Response:
        raise ZeroDivisionError

    path = tmp_path / "tape.yaml"
    with Cassette(path, mode="record") as tape, pytest.raises(ZeroDivisionError):
        tape.client(httpx2.MockTransport(fail)).get("http://h/x")
    with pytest.raises(MissingRecordingError, match="ZeroDivisionError"):
        Cassette(path).client().get("http://h/x")


def test_no_key_is_in_a_recorded_error(tmp_path: Path) -> None:
    """An error whose message repeats a key, or the key of this request, is recorded without it."""

    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(f"{KEY} or a-local-secret is wrong")

    path = tmp_path / "tape.yaml"
    headers = {"authorization": "Bearer a-local-secret"}
    with Cassette(path, mode="record") as tape, pytest.raises(httpx2.ConnectError):
        tape.client(httpx2.MockTransport(fail)).get("http://h/x", headers=headers)
    with pytest.raises(httpx2.ConnectError, match=r"^\*REDACTED\* or \*REDACTED\* is wrong$"):
        Cassette(path).client().get("http://h/x")


FAULTS = Faults(error_rate=0.2, reset_rate=0.1, disconnect_rate=0.2, stall_rate=0.1, malformed_rate=0.1)


def test_a_bad_day_comes_again(tmp_path: Path) -> None:
    """Forty streams under all faults at once end alike, and at the same times, in the replay."""
    path = tmp_path / "tape.yaml"

    async def main(tape: Cassette, sim: Simulator | None = None) -> list[Any]:
        inner = sim.async_transport("openai") if sim else None
        client = openai.AsyncOpenAI(api_key=KEY, http_client=tape.async_client(inner), timeout=20)

        async def one(number: int) -> list[Any]:
            messages: Any = [{"role": "user", "content": f"question {number}"}]
            heard: list[Any] = []
            try:
                answer = await client.chat.completions.create(
                    model="gpt-4o", messages=messages, stream=True, max_tokens=30
                )
                async for said in answer:
                    heard.append(said.to_dict())  # noqa: PERF401  # what came before an error counts, too
            except (openai.APIError, ValueError) as error:
                heard.append(repr(error))
            return [wb.now(), *heard]

        return list(await asyncio.gather(*map(one, range(40))))

    with Cassette(path, mode="record") as tape:
        first = wb.run(lambda: main(tape, Simulator(seed=4, faults=FAULTS)))
    ends = {exchange.end.how for exchange in tape.exchanges}
    assert {"complete", "left", "ReadError", "ReadTimeout", "RemoteProtocolError"} <= ends
    with Cassette(path, pace="recorded") as tape:
        assert wb.run(lambda: main(tape)) == first
        assert tape.unplayed == []

"""The simulated provider over HTTP: real sockets, the real SDKs, curl, and clients that behave badly."""

import asyncio
import contextlib
import gc
import json
import re
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from workbench.clock import run
from workbench.errors import ConfigurationError
from workbench.simulator import (
    Faults,
    Latency,
    ModelProfile,
    Outage,
    RateLimits,
    RequestRecord,
    Simulator,
    asgi,
    server,
)
from workbench.simulator.transport import AsyncTransport

Serving = Callable[[Simulator], AbstractContextManager[str]]
MESSAGES: Any = [{"role": "user", "content": "Why does jitter help in Zürich?"}]
CHAT = {"model": "m", "messages": MESSAGES}
OPENAI = {"authorization": "Bearer k"}
ANTHROPIC = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
ASKED = {
    "openai": ("/v1/chat/completions", OPENAI, CHAT),
    "anthropic": ("/v1/messages", ANTHROPIC, {**CHAT, "max_tokens": 99}),
}
PROVIDERS = pytest.mark.parametrize("provider", ["openai", "anthropic"])


def simulator(*, ttft: float = 0.002, itl: float = 0.0002, slots: int = 64, **options: Any) -> Simulator:
    """Models "m" of both providers, as fast as a test wants them."""
    models = [
        ModelProfile(
            name="m",
            provider=provider,
            ttft=Latency(mean=ttft),
            itl=Latency(mean=itl),
            slots=slots,
            prefill_tokens_per_second=1e9,
        )
        for provider in ("openai", "anthropic")
    ]
    return Simulator(**{"models": models, "edge_latency": 0.001, "seed": 1, **options})


def through(sim: Simulator, main: Callable[[str], Awaitable[Any]]) -> Any:
    """Run `main` with the URL of a server in the same loop, and hold the server to leaving nothing behind."""

    async def supervised() -> Any:
        async with sim.serving() as url:
            result = await main(url)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    threads = threading.active_count()
    result = run(supervised, virtual=False)
    assert threading.active_count() == threads
    gc.collect()  # what is not closed would warn, and warnings are errors
    return result


def http() -> httpx2.AsyncClient:
    """A plain HTTP client; it need not load all the world's certificates, which takes longer than a test."""
    return httpx2.AsyncClient(verify=False)


async def post(url: str, provider: str = "openai", **changes: Any) -> httpx2.Response:
    """One request by a plain HTTP client."""
    path, headers, body = ASKED[provider]
    async with http() as client:
        return await client.post(url + path, headers=headers, json=body | changes)


def raw(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """A request as it stands on the wire."""
    lines = {"host": "127.0.0.1", "content-length": str(len(body)), **OPENAI, **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def ask(**changes: Any) -> bytes:
    """A chat completion as it stands on the wire."""
    return raw("POST", "/v1/chat/completions", body=json.dumps(CHAT | changes).encode())


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def talk(url: str, data: bytes) -> bytes:
    """Send `data` on a connection of its own, and read until the server closes it."""
    reader, writer = await connect(url)
    try:
        writer.write(data)
        return await reader.read()
    finally:
        writer.close()


async def until(true: Callable[[], bool]) -> None:
    """Let the others work until something is the case."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - there is no event to wait for in what is tested
            await asyncio.sleep(0.001)


# -- clients -------------------------------------------------------------------------------------------


async def by_openai(client: openai.AsyncOpenAI) -> list[str]:
    """A whole answer and a streamed one."""
    whole = await client.chat.completions.create(**CHAT)
    stream = await client.chat.completions.create(**CHAT, stream=True)
    return [
        whole.choices[0].message.content,
        "".join([c.choices[0].delta.content or "" async for c in stream if c.choices]),
    ]


async def by_anthropic(client: anthropic.AsyncAnthropic) -> list[str]:
    """A whole answer and a streamed one."""
    whole = await client.messages.create(model="m", messages=MESSAGES, max_tokens=400)
    async with client.messages.stream(model="m", messages=MESSAGES, max_tokens=400) as stream:
        return [getattr(whole.content[0], "text", ""), "".join([text async for text in stream.text_stream])]


def by_openai_sync(client: openai.OpenAI) -> list[str]:
    """A whole answer and a streamed one."""
    whole = client.chat.completions.create(**CHAT)
    stream = client.chat.completions.create(**CHAT, stream=True)
    return [
        whole.choices[0].message.content,
        "".join(c.choices[0].delta.content or "" for c in stream if c.choices),
    ]


def by_anthropic_sync(client: anthropic.Anthropic) -> list[str]:
    """A whole answer and a streamed one."""
    whole = client.messages.create(model="m", messages=MESSAGES, max_tokens=400)
    with client.messages.stream(model="m", messages=MESSAGES, max_tokens=400) as stream:
        return [getattr(whole.content[0], "text", ""), "".join(stream.text_stream)]


def test_async_sdks() -> None:
    """Both async SDKs get the model's words over HTTP, whole and streamed, on one port."""

    async def main(url: str) -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1") as client:
            whole, streamed = await by_openai(client)
        assert whole == streamed
        assert "jitter" in whole.lower()
        async with anthropic.AsyncAnthropic(api_key="k", base_url=url) as other:
            assert await by_anthropic(other) == [whole, streamed] or "jitter" in whole.lower()

    sim = simulator()
    through(sim, main)
    assert [(r.provider, r.stream, r.outcome) for r in sim.log] == [
        (provider, stream, "ok") for provider in ("openai", "anthropic") for stream in (False, True)
    ]


def test_sync_sdks(serving: Serving) -> None:
    """Both sync SDKs get the model's words over HTTP, whole and streamed, from a server in another thread."""
    sim = simulator()
    with serving(sim) as url:
        with openai.OpenAI(api_key="k", base_url=f"{url}/v1") as client:
            whole, streamed = by_openai_sync(client)
        assert whole == streamed
        with anthropic.Anthropic(api_key="k", base_url=url) as other:
            whole, streamed = by_anthropic_sync(other)
        assert whole == streamed
        assert "jitter" in whole.lower()
    assert sim.log.outcomes() == {"ok": 4}


CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@CURL
@pytest.mark.parametrize("stream", [False, True])
def test_curl(serving: Serving, stream: bool) -> None:
    """curl gets the answer, whole or as events that end with [DONE]."""
    with serving(simulator(script="Ja, weil Zürich")) as url:
        command = [
            "curl",
            "-sS",
            "--no-buffer",
            f"{url}/v1/chat/completions",
            "-H",
            "authorization: Bearer k",
        ]
        data = json.dumps(CHAT | {"stream": stream})
        done = subprocess.run(
            [*command, "--data", data], capture_output=True, text=True, timeout=60, check=True
        )
    if stream:
        assert done.stdout.endswith("data: [DONE]\n\n")
    else:
        assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "Ja, weil Zürich"


@CURL
def test_curl_with_a_large_body(serving: Serving) -> None:
    """curl, which asks first whether it may send a large body, is told that it may not."""
    with serving(simulator(max_body_bytes=1_000_000)) as url:
        command = ["curl", "-sS", "-w", "%{http_code} %{size_upload}", f"{url}/v1/chat/completions"]
        command += ["-H", "authorization: Bearer k", "--data-binary", "@-"]
        done = subprocess.run(command, input=b"x" * 10_000_000, capture_output=True, timeout=60, check=True)
    answer, _, figures = done.stdout.decode().rpartition("}")
    status, sent = figures.split()
    assert (status, sent) == ("413", "0")
    assert "maximum size of 1,000,000 bytes" in answer


# -- one engine ----------------------------------------------------------------------------------------


def undated(response: httpx2.Response) -> tuple[int, dict[str, str], str]:
    """An answer without what tells the date or the connection."""
    skipped = {"date", "content-length", "transfer-encoding"}
    headers = {n: v for n, v in response.headers.items() if n not in skipped and "reset" not in n}
    return response.status_code, headers, re.sub(r'"created":\d+', '"created":0', response.text)


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    (provider, changes)
    for provider in ("openai", "anthropic")
    for changes in (
        {},
        {"stream": True},
        {"messages": [{"role": "user", "content": "Another question"}]},
        {},
        {"model": "unknown"},
        {"messages": "wrong"},
    )
]


def test_the_same_bytes_as_in_process() -> None:
    """The same requests in the same order get the same answers over HTTP as in process, but for dates."""

    async def over_http(url: str) -> list[tuple[int, dict[str, str], str]]:
        return [undated(await post(url, provider, **changes)) for provider, changes in REQUESTS]

    async def in_process() -> list[tuple[int, dict[str, str], str]]:
        sim = simulator()
        answers = []
        for provider, changes in REQUESTS:
            path, headers, body = ASKED[provider]
            transport = AsyncTransport(sim._line, provider)  # type: ignore[arg-type]
            async with httpx2.AsyncClient(transport=transport) as client:
                url = f"http://simulator.invalid{path}"
                answers.append(undated(await client.post(url, headers=headers, json=body | changes)))
        return answers

    assert through(simulator(), over_http) == run(in_process)


@PROVIDERS
def test_tokens_come_one_by_one(provider: str) -> None:
    """The first token is with the client while the provider is still making the others."""
    sim = simulator(script="one two three four five six seven eight", itl=0.05)

    async def main(url: str) -> int:
        path, headers, body = ASKED[provider]
        async with (
            http() as client,
            client.stream("POST", url + path, headers=headers, json=body | {"stream": True}) as response,
        ):
            pieces = response.aiter_raw()
            async for piece in pieces:
                if b"one" in piece:
                    break
            (record,) = sim.log
            assert record.outcome == "in flight"
            assert len(record.tokens) < 8
            return 1 + len([piece async for piece in pieces])

    assert through(sim, main) >= 4  # a reader that is late finds several at once
    assert len(sim.log[0].tokens) == 8


def test_answers_take_their_time() -> None:
    """What a client measures is never earlier than what the log says."""
    sim = simulator(ttft=0.03, script="one two three")

    async def main(url: str) -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await post(url)
        return loop.time() - started, started

    took, _ = through(sim, main)
    assert 0.03 < sim.log[0].duration <= took


@pytest.mark.parametrize(
    ("method", "path", "headers", "shape"),
    [
        ("POST", "/v1/chat/completions", {}, "openai"),
        ("POST", "/v1/messages", {}, "anthropic"),
        ("POST", "/v1/messages/count_nothing", {}, "anthropic"),
        ("GET", "/v1/unknown", {}, "openai"),
        ("GET", "/v1/unknown", {"anthropic-version": "2023-06-01"}, "anthropic"),
        ("GET", "/v1/unknown", {"x-api-key": "k"}, "anthropic"),
        ("DELETE", "/", {}, "openai"),
    ],
)
def test_each_path_has_its_provider(method: str, path: str, headers: dict[str, str], shape: str) -> None:
    """An error has the shape of the API that the path, or else the headers, mean."""

    async def main(url: str) -> Any:
        async with http() as client:
            return (await client.request(method, url + path, headers=headers | OPENAI, content=b"{")).json()

    answer = through(simulator(), main)
    assert set(answer) == ({"error"} if shape == "openai" else {"type", "error", "request_id"})
    assert answer["error"]["message"]


# -- keys ----------------------------------------------------------------------------------------------


@PROVIDERS
def test_keys(provider: str) -> None:
    """A missing or unknown key is 401, one without the scope 403, in the provider's own words."""
    sim = simulator(keys={"all": None, "some": ["model.request", "messages"], "none": ["api.model.read"]})
    path, headers, body = ASKED[provider]

    async def main(url: str) -> list[tuple[int, str]]:
        found = []
        async with http() as client:
            for key in (None, "unknown", "none", "some", "all"):
                given = headers | ({"authorization": f"Bearer {key}"} if key else {"authorization": ""})
                given.pop("x-api-key", None)
                answer = await client.post(url + path, headers=given, json=body)
                found.append((answer.status_code, answer.json().get("error", {}).get("type")))
        return found

    wrong = {"openai": "invalid_request_error", "anthropic": "authentication_error"}[provider]
    found = through(sim, main)
    assert [status for status, _ in found] == [401, 401, 403, 200, 200]
    assert found[0][1] == found[1][1] == wrong


# -- who goes, and what breaks --------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_has_given_up(stream: bool) -> None:
    """A closed connection cancels its request: the log says so, and who waits behind it moves up."""
    sim = simulator(ttft=30, slots=1, script="yes")

    async def main(url: str) -> None:
        _, first = await connect(url)
        first.write(ask(stream=stream))
        await until(lambda: len(sim.log) == 1)
        _, second = await connect(url)
        second.write(ask())
        await until(lambda: len(sim.log) == 2)
        first.close()
        await until(lambda: sim.log[0].outcome == "cancelled")
        assert sim.log[1].started is not None
        assert sim.log[1].started == sim.log[0].ended
        second.close()

    through(sim, main)
    assert sim.log.outcomes() == {"cancelled": 2}


async def broken_off(url: str, **changes: Any) -> tuple[bytes, bool]:
    """What came before a connection broke, and whether it was reset."""
    reader, writer = await connect(url)
    got = b""
    try:
        writer.write(ask(**changes))
        while piece := await reader.read(100_000):
            got += piece
    except ConnectionResetError:
        return got, True
    finally:
        writer.close()
    return got, False


@pytest.mark.parametrize("faults", [Faults(reset_rate=1), Faults(refuse_rate=1)])
def test_a_reset_is_a_reset(faults: Faults) -> None:
    """A connection that is reset or refused gets a TCP reset instead of an answer."""
    sim = simulator(faults=faults)
    assert through(sim, broken_off) == (b"", True)
    assert sim.log.outcomes() == {"broken": 1}


def test_a_disconnect_is_a_premature_end() -> None:
    """A stream that breaks off ends without its end mark, by a closed connection, not a reset one."""
    sim = simulator(faults=Faults(disconnect_rate=1), script="one two three four five six", seed=2)

    got, reset = through(sim, lambda url: broken_off(url, stream=True))
    assert got.startswith(b"HTTP/1.1 200")
    assert b"\r\n0\r\n\r\n" not in got
    assert b"[DONE]" not in got
    assert not reset
    assert sim.log.outcomes() == {"broken": 1}


@PROVIDERS
def test_breakages_as_the_sdks_see_them(provider: str) -> None:
    """The SDKs raise for a broken connection what they raise for a real one."""

    async def main(url: str) -> None:
        if provider == "openai":
            client: Any = openai.AsyncOpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0)
            create: Any = client.chat.completions.create
            error: type[Exception] = openai.APIConnectionError
        else:
            client = anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0)
            create, error = client.messages.create, anthropic.APIConnectionError
        async with client:
            with pytest.raises(error):
                await create(model="m", messages=MESSAGES, max_tokens=9)

    through(simulator(faults=Faults(outages=(Outage(start=0, end=1e6, kind="refuse"),))), main)


def test_a_stall_is_real() -> None:
    """A stream that stands still does so on the wire, for as long as the log says."""
    sim = simulator(faults=Faults(stall_rate=1, stall_seconds=0.1), script="one two three four")

    async def main(url: str) -> float:
        loop = asyncio.get_running_loop()
        reader, writer = await connect(url)
        started = loop.time()
        writer.write(ask(stream=True))
        await reader.readuntil(b"[DONE]")
        writer.close()
        return loop.time() - started

    took = through(sim, main)
    (record,) = sim.log
    times = (record.arrival, *record.tokens)
    assert max(later - earlier for earlier, later in pairwise(times)) >= 0.1
    assert took >= record.tokens[-1] - record.arrival


def test_the_end_of_the_server_ends_its_streams() -> None:
    """At the end of the block streams break off, the log says that they are over, nothing is left behind."""
    sim = simulator(ttft=0.001, itl=30, script="one two three")

    async def main() -> tuple[bytes, list[Any]]:
        async with sim.serving() as url:
            reader, writer = await connect(url)
            writer.write(ask(stream=True))
            idle = await connect(url)
            half = await connect(url)
            half[1].write(ask()[:-10])
            got = await reader.readuntil(b"one")
        rest = await reader.read()
        assert await idle[0].read() == b""
        with contextlib.suppress(ConnectionResetError):  # what it sent was not read
            assert await half[0].read() == b""
        for each in (writer, idle[1], half[1]):
            each.close()
        return got + rest, [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]

    got, left = run(main, virtual=False)
    assert got.startswith(b"HTTP/1.1 200")
    assert b"\r\n0\r\n\r\n" not in got
    assert left == []
    assert sim.log.outcomes() == {"cancelled": 1}


def test_a_server_ends_though_a_client_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that has stopped reading holds up neither the others nor the end of the server."""
    monkeypatch.setattr(server, "_GRACE_SECONDS", 0.05)
    sim = simulator(itl=1e-7, script="word " * 40_000)

    async def main(url: str) -> None:
        parts = urlsplit(url)
        deaf = socket.create_connection((str(parts.hostname), parts.port or 0))
        deaf.sendall(ask(stream=True))
        await until(lambda: bool(sim.log))
        assert (await post(url, messages=[{"role": "user", "content": "?"}])).status_code == 200
        deafs.append(deaf)

    deafs: list[socket.socket] = []
    through(sim, main)
    deafs[0].close()


# -- bad input -----------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that announces too many bytes is refused unread: 413, and the connection is closed."""
    monkeypatch.setattr(asgi, "_FAREWELL_SECONDS", 0.05)

    async def main(url: str) -> bytes:
        announced = {"content-length": "10000000", "expect": "100-continue"}
        return await talk(url, raw("POST", "/v1/chat/completions", announced))

    sim = simulator(max_body_bytes=1000)
    answer = through(sim, main)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"100 Continue" not in answer
    assert b"connection: close" in answer
    assert sim.log[0].error == "too_large"


@PROVIDERS
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_large_is_refused(provider: str, chunked: bool) -> None:
    """A client that sends all of a body that is too large gets the provider's own 413."""
    path, headers, _ = ASKED[provider]

    async def main(url: str) -> httpx2.Response:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 100_000

        content = body() if chunked else b"x" * 10_000_000
        async with http() as client:
            return await client.post(url + path, headers=headers, content=content)

    response = through(simulator(max_body_bytes=1_000_000), main)
    assert response.status_code == 413
    assert "maximum size of 1,000,000 bytes" in response.json()["error"]["message"]


def test_an_endless_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that never ends is refused at the limit, and its connection closed, whatever else comes."""
    monkeypatch.setattr(asgi, "_FAREWELL_SECONDS", 0.05)

    async def main(url: str) -> bytes:
        reader, writer = await connect(url)

        async def send() -> None:
            writer.write(raw("POST", "/v1/messages", {"transfer-encoding": "chunked", "content-length": ""}))
            while True:
                writer.write(b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")
                await writer.drain()

        sending = asyncio.create_task(send())
        answer = await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            await sending
        writer.close()
        return answer

    assert through(simulator(max_body_bytes=1_000_000), main).startswith(b"HTTP/1.1 413")


def test_a_large_body_is_read() -> None:
    """Ten megabytes are no reason to refuse a request, if the limit is above that."""

    async def main(url: str) -> httpx2.Response:
        return await post(url, padding="x" * 10_000_000)

    assert through(simulator(), main).status_code == 200


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",  # a TLS hello
        b"GET / HTTP/1.1\r\nbroken header\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"y" * 2_000_000,
        b"GET /" + b"y" * 2_000_000,
    ],
)
def test_what_is_no_http(data: bytes) -> None:
    """Bytes that are no request are answered by 400 or not at all, the connection is closed, others go on."""

    async def main(url: str) -> bytes:
        reader, writer = await connect(url)
        writer.write(data)
        got = b""
        with contextlib.suppress(ConnectionError):
            got = await reader.read()
        writer.close()
        assert (await post(url)).status_code == 200
        return got

    got = through(simulator(), main)
    assert got == b"" or got.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))


@pytest.mark.parametrize("cut", [0, 1, 40, -20, -1])
def test_half_a_request(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """A request that never comes whole is dropped, whether its client goes or stays."""
    monkeypatch.setattr(server, "_HEAD_SECONDS", 0.05)
    monkeypatch.setattr(server, "_IDLE_SECONDS", 0.05)
    monkeypatch.setattr(asgi, "_BODY_SECONDS", 0.05)
    data = ask()[:cut]

    async def main(url: str) -> None:
        _, gone = await connect(url)
        gone.write(data)
        await gone.drain()
        gone.close()
        with contextlib.suppress(ConnectionResetError):
            assert await talk(url, data) == b""
        assert (await post(url)).status_code == 200

    sim = simulator()
    through(sim, main)
    assert len(sim.log) == 1


def test_a_slow_client_is_served() -> None:
    """A request that comes byte by byte is answered like any other."""

    async def main(url: str) -> bytes:
        reader, writer = await connect(url)
        for byte in raw("POST", "/v1/chat/completions", {"connection": "close"}, json.dumps(CHAT).encode()):
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        try:
            return await reader.read()
        finally:
            writer.close()

    assert through(simulator(), main).startswith(b"HTTP/1.1 200")


def test_requests_that_are_sent_ahead() -> None:
    """Requests in a pipeline are answered in their order."""
    sim = simulator(script=[f"answer {number}" for number in range(5)])

    async def main(url: str) -> bytes:
        last = raw("POST", "/v1/chat/completions", {"connection": "close"}, json.dumps(CHAT).encode())
        return await talk(url, ask() * 4 + last)

    answer = through(sim, main).decode()
    assert re.findall(r"answer \d", answer) == [f"answer {number}" for number in range(5)]


def test_a_thousand_connections() -> None:
    """A thousand streams at once are all served to their end."""
    sim = simulator(slots=2000, ttft=0.05, limits=RateLimits(), script="one two three")

    async def one(url: str) -> bool:
        reader, writer = await connect(url)
        writer.write(ask(stream=True))
        answer = await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.close()
        return b"[DONE]" in answer

    async def main(url: str) -> list[bool]:
        return await asyncio.gather(*(one(url) for _ in range(1000)))

    assert all(through(sim, main))
    assert sim.log.outcomes() == {"ok": 1000}


# -- pages ---------------------------------------------------------------------------------------------


async def get(url: str) -> httpx2.Response:
    async with http() as client:
        return await client.get(url)


def test_health() -> None:
    """/health says that the server is there, and how many requests came."""

    async def main(url: str) -> Any:
        await post(url)
        return (await get(f"{url}/health")).json()

    assert through(simulator(), main) == {"status": "ok", "seed": 1, "requests": 1}


def test_the_log_in_pages() -> None:
    """/log gives the provider's own record, a page of it after a number, the same page each time."""
    sim = simulator()

    async def main(url: str) -> list[str]:
        for _ in range(5):
            await post(url)
        whole = await get(f"{url}/log")
        assert whole.headers["content-type"] == "application/x-ndjson"
        queries = ("?after=2", "?after=2&limit=2", "?after=4", "?after=5", "?after=99", "?limit=0")
        return [whole.text, *[(await get(f"{url}/log{query}")).text for query in queries]]

    whole, *pages = through(sim, main)
    assert whole == sim.log.to_jsonl()
    lines = whole.splitlines(keepends=True)
    assert pages == ["".join(lines[a:b]) for a, b in ((2, 5), (2, 4), (4, 5), (5, 5), (5, 5), (0, 0))]
    record = RequestRecord(**{**json.loads(lines[0]), "tokens": tuple(json.loads(lines[0])["tokens"])})
    assert record == sim.log[0]


def test_the_log_tells_what_is_settled() -> None:
    """A page of the log ends before the first request in flight, unless those are asked for."""
    sim = simulator(ttft=30, script="yes")

    async def main(url: str) -> list[str]:
        await post(url, model="unknown")
        _, writer = await connect(url)
        writer.write(ask())
        await until(lambda: len(sim.log) == 2)
        await post(url, model="unknown")
        pages = [(await get(f"{url}/log{query}")).text for query in ("", "?in_flight=true", "?after=2")]
        writer.close()
        return pages

    settled, all_of_it, after = through(sim, main)
    assert [json.loads(line)["number"] for line in settled.splitlines()] == [1]
    outcomes = [json.loads(line)["outcome"] for line in all_of_it.splitlines()]
    assert outcomes == ["rejected", "in flight", "rejected"]
    assert [json.loads(line)["number"] for line in after.splitlines()] == [3]


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("after=x", "after must be a whole number, 0 or more, got 'x'."),
        ("after=-1", "after must be a whole number, 0 or more, got '-1'."),
        ("limit=9999999999999999", "limit must be a whole number, 0 or more, got '9999999999999999'."),
        ("in_flight=maybe", "in_flight must be true or false, got 'maybe'."),
        ("page=2", "/log has no parameter 'page', but after, limit and in_flight."),
    ],
)
def test_a_wrong_question_about_the_log(query: str, complaint: str) -> None:
    """A parameter that /log does not know, or a value that it cannot have, is refused and explained."""
    response = through(simulator(), lambda url: get(f"{url}/log?{query}"))
    assert (response.status_code, response.json()) == (400, {"error": {"message": complaint}})


def test_pages_can_only_be_read() -> None:
    """Another method than GET on one of the simulator's own pages is 405."""

    async def main(url: str) -> httpx2.Response:
        async with http() as client:
            return await client.post(f"{url}/log")

    response = through(simulator(), main)
    assert (response.status_code, response.json()["error"]["message"][:20]) == (405, "/log can only be rea")


def samples(page: str) -> dict[tuple[str, ...], float]:
    """What a metrics page says, as Prometheus's own parser reads it: by name and labels."""
    return {
        (sample.name, *[sample.labels[label] for label in sorted(sample.labels)]): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_metrics_are_the_log() -> None:
    """/metrics counts what the log records: requests, tokens, what is in flight, TTFT and durations."""
    sim = simulator(slots=1, ttft=0.03, models=[], limits=RateLimits(requests=1), script="one two three")

    async def main(url: str) -> list[str]:
        pages = []
        for kind in ("gpt-4o", "gpt-4o", "gpt-5"):
            await post(url, model=kind)
            pages.append((await get(f"{url}/metrics")).text)
        await post(url, "anthropic", model="claude-opus-5")
        pages.append((await get(f"{url}/metrics")).text)
        assert (await get(f"{url}/metrics")).headers["content-type"].startswith("text/plain; version=0.0.4")
        return pages

    found = [samples(page) for page in through(sim, main)]
    count = "workbench_requests_total"
    assert found[0][count, "gpt-4o", "ok", "openai", "200"] == 1
    assert found[1][count, "gpt-4o", "rejected", "openai", "429"] == 1
    last = found[-1]
    assert sum(value for key, value in last.items() if key[0] == count) == 4 == len(sim.log)
    for name in ("input", "output"):
        of_log = sum(getattr(record, f"{name}_tokens") for record in sim.log)
        keys = [key for key in last if key[0] == "workbench_tokens_total" and key[1] == name]
        assert sum(last[key] for key in keys) == of_log
    chats = [record for record in sim.log if record.model == "gpt-4o" and record.first_token]
    ttft = sum(record.first_token - record.arrival for record in chats if record.first_token)
    assert last["workbench_ttft_seconds_sum", "gpt-4o", "openai"] == pytest.approx(ttft)
    assert last["workbench_ttft_seconds_count", "gpt-4o", "openai"] == 1
    assert last["workbench_ttft_seconds_bucket", "+Inf", "gpt-4o", "openai"] == 1
    assert last["workbench_duration_seconds_count", "gpt-4o", "openai"] == 2


def test_metrics_of_what_is_in_flight() -> None:
    """The gauges say how many requests are there, and how many queue; a scrape counts nobody twice."""
    sim = simulator(slots=2, ttft=30, script="yes")

    async def main(url: str) -> list[dict[tuple[str, ...], float]]:
        writers = []
        for number in range(5):
            writers.append((await connect(url))[1])
            writers[-1].write(ask())
            await until(lambda number=number: len(sim.log) == number + 1)  # type: ignore[misc]
        found = [samples((await get(f"{url}/metrics")).text) for _ in range(2)]
        for writer in writers:
            writer.close()
        await until(lambda: sim.log.outcomes() == {"cancelled": 5})
        return [*found, *[samples((await get(f"{url}/metrics")).text) for _ in range(2)]]

    before, again, after, still = through(sim, main)
    assert before == again
    assert before["workbench_requests_in_flight", "m", "openai"] == 5
    assert before["workbench_requests_queued", "m", "openai"] == 3
    assert ("workbench_requests_in_flight", "m", "openai") not in after
    assert after["workbench_requests_total", "m", "cancelled", "openai", "none"] == 5
    assert after == still


# -- the port, the clock, other servers -----------------------------------------------------------------


def test_a_port_that_is_taken() -> None:
    """A port on which something listens is refused in a sentence that names it."""

    async def main(url: str) -> None:
        port = urlsplit(url).port
        with pytest.raises(ConfigurationError, match=f"port {port} is in use: end what listens there"):
            async with simulator().serving(port or 0):
                pass

    through(simulator(), main)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port: int) -> None:
    """A number that is no port is refused."""

    async def main() -> None:
        with pytest.raises(ConfigurationError, match=f"from 0 to 65535, got {port}"):
            async with simulator().serving(port):
                pass

    run(main, virtual=False)


def test_no_server_in_virtual_time() -> None:
    """In virtual time a server is refused, and the error says what to do instead."""

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="a server needs the wall clock"):
            async with simulator().serving():
                pass

    run(main)


def test_the_application_in_virtual_time() -> None:
    """The ASGI application itself keeps to whatever clock its loop has."""
    sim = simulator(ttft=3600, script="one two three")

    async def main() -> tuple[str, float]:
        transport = httpx2.ASGITransport(sim.asgi())
        async with httpx2.AsyncClient(transport=transport, timeout=None) as client:
            path, headers, body = ASKED["openai"]
            answer = await client.post(f"http://simulator.invalid{path}", headers=headers, json=body)
        return answer.json()["choices"][0]["message"]["content"], asyncio.get_running_loop().time()

    text, took = run(main)
    assert text == "one two three"
    assert took == pytest.approx(3600.001, abs=0.01)
    assert sim.log[0].duration == pytest.approx(took)


def test_a_breakage_under_another_server() -> None:
    """A server that cannot cut a connection sees the application raise."""

    async def main() -> None:
        transport = httpx2.ASGITransport(simulator(faults=Faults(reset_rate=1)).asgi())
        async with httpx2.AsyncClient(transport=transport) as client:
            path, headers, body = ASKED["openai"]
            with pytest.raises(ConnectionAbortedError, match="reset by the peer"):
                await client.post(f"http://simulator.invalid{path}", headers=headers, json=body)

    run(main)


def test_cancellation_from_outside() -> None:
    """A server that cancels the application's task gets its cancellation; the log says that it is over."""
    sim = simulator(ttft=30, script="yes")

    async def main() -> None:
        transport = httpx2.ASGITransport(sim.asgi())
        path, headers, body = ASKED["openai"]
        async with httpx2.AsyncClient(transport=transport, timeout=None) as client:
            asking = client.post(f"http://simulator.invalid{path}", headers=headers, json=body)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asking, 1)

    run(main)
    assert sim.log.outcomes() == {"cancelled": 1}


def scope_of(kind: str) -> tuple[list[Any], Any, Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": f"{kind}.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    return sent, receive, send


def test_other_scopes() -> None:
    """The lifespan of a server is answered, a WebSocket is closed."""

    async def main() -> list[Any]:
        answers = []
        for kind in ("lifespan", "websocket"):
            sent, receive, send = scope_of(kind)
            await simulator().asgi()({"type": kind}, receive, send)
            answers.append([message["type"] for message in sent])
        return answers

    assert run(main) == [["lifespan.startup.complete", "lifespan.shutdown.complete"], ["websocket.close"]]


def test_a_client_that_resets() -> None:
    """A client that resets its connection in mid-stream is a client that has given up."""
    sim = simulator(itl=30, script="one two")

    async def main(url: str) -> None:
        parts = urlsplit(url)
        client = socket.create_connection((str(parts.hostname), parts.port or 0))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(ask(stream=True))
        await until(lambda: bool(sim.log and sim.log[0].tokens))
        client.close()
        await until(lambda: sim.log.outcomes() == {"cancelled": 1})

    through(sim, main)

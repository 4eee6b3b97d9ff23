"""The relay, served on loopback: by both transports, at the client's pace, and over when the client goes."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import websockets

import workbench as wb
from workbench.errors import (
    AuthenticationError,
    ConfigurationError,
    ProviderError,
    RateLimitError,
    StreamInterruptedError,
)
from workbench.events import Event, Finished, Started, TextDelta
from workbench.messages import Completion, Request
from workbench.providers import Provider
from workbench.relay import Relay, serve_relay
from workbench.simulator import RequestRecord
from workbench.wire.sse import Decoder

LIMIT = 10.0  # seconds for what takes milliseconds: a failing test ends, too
FAST = wb.ModelProfile(name="fast", provider="openai", ttft=wb.Latency(mean=1e-3), itl=wb.Latency(mean=1e-5))
SLOW = wb.ModelProfile(name="slow", provider="openai", ttft=wb.Latency(mean=1e-3), itl=wb.Latency(mean=600))
Answer = AsyncIterator[dict[str, Any]]
Ask = Callable[[str, str], Any]


@asynccontextmanager
async def by_sse(url: str, prompt: str) -> AsyncIterator[Answer]:
    """The messages that POST /ask answers by, as they come."""
    async with (
        httpx2.AsyncClient(timeout=LIMIT) as http,
        http.stream("POST", f"{url}/ask", json={"prompt": prompt}) as response,
    ):
        assert response.status_code == 200, await response.aread()

        async def answer() -> AsyncGenerator[dict[str, Any], None]:
            decoder = Decoder()
            async for chunk in response.aiter_raw():
                for event in decoder.feed(chunk):
                    yield json.loads(event.data)

        async with aclosing(answer()) as events:
            yield events


@asynccontextmanager
async def by_websocket(url: str, prompt: str) -> AsyncIterator[Answer]:
    """The messages that the WebSocket at /ask answers by, as they come."""
    async with websockets.connect(f"{url.replace('http', 'ws')}/ask") as connection:
        await connection.send(json.dumps({"prompt": prompt}))

        async def answer() -> AsyncGenerator[dict[str, Any], None]:
            with suppress(websockets.ConnectionClosedError):  # the end of the relay
                async for message in connection:
                    yield json.loads(message)

        async with aclosing(answer()) as events:
            yield events


both = pytest.mark.parametrize("ask", [by_sse, by_websocket], ids=["sse", "websocket"])


def on_the_wall_clock(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main` to its end, and see that it has left no task."""

    async def limited() -> None:
        async with asyncio.timeout(2 * LIMIT):
            await main()
        # An SDK leaves a generator that it has broken off to the loop, which closes it by a task.
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    wb.run(limited, virtual=False)


async def until(true: Callable[[], bool]) -> None:
    """Wait until what happens on the other side of a socket has happened."""
    async with asyncio.timeout(LIMIT):
        while not true():  # noqa: ASYNC110 - it happens on the other side, which sets no event of ours
            await asyncio.sleep(0.005)


class Fake(Provider):
    """A provider whose streams are made by a function of the request; it counts what is taken from them."""

    name = "fake"

    def __init__(self, make: Callable[[Request], AsyncIterator[Event]]) -> None:
        self.make = make
        self.taken = 0
        self.closed = False

    async def complete(self, request: Request) -> Completion:
        raise NotImplementedError

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        try:
            async for event in self.make(request):
                self.taken += 1
                yield event
        finally:
            self.closed = True


def openai(sim: wb.Simulator) -> Provider:
    return wb.OpenAIProvider(sim.openai())


@both
def test_a_browser_gets_the_events_of_the_provider(ask: Ask) -> None:
    """What arrives is what the provider's stream says, event by event, from its start to its end."""

    async def main() -> None:
        provider = openai(wb.Simulator(seed=1, models=[FAST]))
        async with (
            serve_relay(provider, model="fast") as url,
            ask(url, "What is jitter? 日本語 😀") as answer,
        ):
            events = [event async for event in answer]
        question = wb.Message(role="user", content="What is jitter? 日本語 😀")
        request = wb.Request(model="fast", messages=(question,), max_tokens=1024)
        stream = openai(wb.Simulator(seed=1, models=[FAST])).stream(request)
        assert events == [event.model_dump() async for event in stream]
        assert (events[0]["type"], events[-1]["type"]) == ("started", "finished")

    on_the_wall_clock(main)


@both
def test_an_event_is_passed_on_before_the_next_is_made(ask: Ask) -> None:
    """The relay holds nothing back: its client has each event while the provider has no other yet."""

    async def main() -> None:
        go_on = asyncio.Queue[None]()

        async def make(request: Request) -> AsyncIterator[Event]:
            for index in range(5):
                yield TextDelta(text=str(index))
                await go_on.get()

        async with serve_relay(Fake(make)) as url, ask(url, "?") as answer:
            for index in range(5):
                assert await anext(answer) == TextDelta(text=str(index)).model_dump()
                go_on.put_nowait(None)

    on_the_wall_clock(main)


class Reluctant:
    """A client that asks, and reads only what it is told to."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.socket.setblocking(False)

    async def ask(self, url: str, transport: str) -> None:
        """Ask by one of the transports; of the answer at most the head is read."""
        address, loop = urlsplit(url), asyncio.get_running_loop()
        body = json.dumps({"prompt": "?"}).encode()
        head = f"/ask HTTP/1.1\r\nHost: {address.netloc}\r\n"
        await loop.sock_connect(self.socket, (address.hostname, address.port))
        if transport == "sse":
            head = f"POST {head}Content-Length: {len(body)}\r\n\r\n"
            await loop.sock_sendall(self.socket, head.encode() + body)
        else:
            head += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            head = f"GET {head}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n"
            await loop.sock_sendall(self.socket, head.encode())
            assert (await loop.sock_recv(self.socket, 4096)).startswith(b"HTTP/1.1 101")
            # A text frame; its mask is four zeros, and so changes nothing (RFC 6455, section 5.2).
            await loop.sock_sendall(self.socket, bytes([0x81, 0x80 | len(body), 0, 0, 0, 0]) + body)

    async def read_until(self, enough: Callable[[bytearray], bool]) -> None:
        """Read until what has come is enough."""
        loop, read = asyncio.get_running_loop(), bytearray()
        while not enough(read):
            part = await loop.sock_recv(self.socket, 65_536)
            assert part, "the connection was closed"
            read += part


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_slow_client_slows_the_provider_down(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    """From an endless stream no more is taken than the connection's buffers hold; what is read makes room."""
    caplog.set_level(logging.CRITICAL)  # the server may say that its answer was not read

    async def main() -> None:
        enough = asyncio.Event()

        async def make(request: Request) -> AsyncIterator[Event]:
            while not enough.is_set():
                yield TextDelta(text="x" * 1000)
                await asyncio.sleep(0)  # an endless source leaves the loop some time
            yield Finished(stop_reason="stop")

        provider = Fake(make)

        async def until_nothing_is_taken() -> int:
            taken = -1
            while taken != provider.taken:
                taken = provider.taken
                await asyncio.sleep(0.05)
            return taken

        client = Reluctant()
        async with serve_relay(provider) as url:
            await client.ask(url, transport)
            await until(lambda: provider.taken > 0)
            held = await until_nothing_is_taken()
            assert 0 < held < 500  # of 1,000 characters each: the buffers of the system and of the server
            await client.read_until(lambda read: len(read) > 200_000)
            await until(lambda: provider.taken > held)
            again = await until_nothing_is_taken()
            assert 150 < again - held < 250
            enough.set()
            await client.read_until(lambda read: b'"finished"' in read)
            client.socket.close()
        assert provider.closed

    on_the_wall_clock(main)


@both
def test_a_client_that_leaves_cancels_the_request(ask: Ask) -> None:
    """The provider's log says that the request was cancelled, while its next token was far away."""

    async def main() -> None:
        sim = wb.Simulator(seed=1, models=[SLOW])
        async with serve_relay(openai(sim), model="slow") as url:
            async with ask(url, "?") as answer:
                assert (await anext(answer))["type"] == "started"
                assert (await anext(answer))["type"] == "text"
                assert only(sim).outcome == "in flight"
            await until(lambda: only(sim).outcome != "in flight")
        assert only(sim).outcome == "cancelled"
        assert len(only(sim).tokens) == 1

    on_the_wall_clock(main)


@both
def test_a_client_that_leaves_before_the_first_token(ask: Ask) -> None:
    """A client that does not wait for the first token cancels the request as well."""
    never = wb.ModelProfile(name="never", provider="openai", ttft=wb.Latency(mean=600))

    async def main() -> None:
        sim = wb.Simulator(seed=1, models=[never])
        async with serve_relay(openai(sim), model="never") as url:
            async with ask(url, "?"):
                await until(lambda: len(sim.log) == 1)
            await until(lambda: only(sim).outcome != "in flight")
        assert (only(sim).outcome, only(sim).tokens) == ("cancelled", ())

    on_the_wall_clock(main)


def only(sim: wb.Simulator) -> RequestRecord:
    (record,) = sim.log
    return record


@both
def test_a_stream_that_breaks_off_says_so_after_what_it_has_said(ask: Ask) -> None:
    """The text so far arrives, and then an event of its own: the error, in words that a user may read."""

    async def main() -> None:
        sim = wb.Simulator(seed=1, models=[FAST], faults=wb.Faults(disconnect_rate=1))
        async with serve_relay(openai(sim), model="fast") as url, ask(url, "why?") as answer:
            *events, error = [event async for event in answer]
        assert "".join(event.get("text", "") for event in events)
        assert error == {
            "type": "error",
            "error": "StreamInterruptedError",
            "message": "A stream broke off, or ended without its end mark.",
            "retryable": False,
            "retry_after": None,
        }

    on_the_wall_clock(main)


@both
@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        pytest.param(
            RateLimitError("org-secret: slow down", provider="fake", status=429, retry_after=2.5),
            {"error": "RateLimitError", "retryable": True, "retry_after": 2.5},
            id="429",
        ),
        pytest.param(
            AuthenticationError("wrong key: sk-secret", provider="fake", status=401),
            {"error": "AuthenticationError", "retryable": False, "retry_after": None},
            id="401",
        ),
        pytest.param(
            StreamInterruptedError("secret", provider="fake", partial=""),
            {"error": "StreamInterruptedError", "retryable": False, "retry_after": None},
            id="broken off",
        ),
    ],
)
def test_an_error_before_the_first_event_has_the_same_form(
    ask: Ask, failure: ProviderError, expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The browser learns the kind of an error and when to come back, the log what the provider said of it."""

    async def main() -> None:
        async def make(request: Request) -> AsyncIterator[Event]:
            raise failure
            yield Started(id="", model="")

        async with serve_relay(Fake(make)) as url, ask(url, "?") as answer:
            (event,) = [event async for event in answer]
        assert event.items() >= expected.items()
        assert "secret" not in json.dumps(event)
        assert "secret" in caplog.text

    on_the_wall_clock(main)


@both
def test_the_end_of_the_relay_ends_its_streams(ask: Ask) -> None:
    """When the relay closes, a stream under way is closed at its provider, and the port is free again."""

    async def main() -> None:
        sim = wb.Simulator(seed=1, models=[SLOW])
        async with serve_relay(openai(sim), model="slow") as url:
            port = urlsplit(url).port
            assert port is not None
            asking = ask(url, "?")
            answer = await asking.__aenter__()
            assert (await anext(answer))["type"] == "started"
        assert only(sim).outcome == "cancelled"
        rest = [event async for event in answer]
        assert [event["type"] for event in rest] in ([], ["text"])  # and nothing that says it was the end
        await asking.__aexit__(None, None, None)
        async with serve_relay(openai(sim), model="slow", port=port) as again:
            assert again == url

    on_the_wall_clock(main)


def test_a_client_that_takes_nothing_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """After `patience` seconds without room for an event the provider's stream is closed."""

    async def main() -> None:
        async def make(request: Request) -> AsyncIterator[Event]:
            while True:
                yield TextDelta(text="x" * 1000)

        provider = Fake(make)
        async with serve_relay(provider, patience=0.05) as url:
            client = Reluctant()
            await client.ask(url, "sse")
            await until(lambda: provider.closed)
            client.socket.close()

    on_the_wall_clock(main)
    assert "took nothing for 0.05 s" in caplog.text


def test_a_client_that_takes_nothing_does_not_hold_the_relay_up() -> None:
    """When the relay ends, it breaks the connections that do not end by themselves."""

    async def main() -> None:
        async def make(request: Request) -> AsyncIterator[Event]:
            while True:
                yield TextDelta(text="x" * 1000)

        provider, client = Fake(make), Reluctant()
        async with serve_relay(provider) as url:
            await client.ask(url, "sse")
            await until(lambda: provider.taken > 100)
        assert provider.closed
        with pytest.raises((ConnectionResetError, AssertionError)):
            await client.read_until(lambda read: False)
        client.socket.close()

    on_the_wall_clock(main)


@pytest.mark.parametrize(
    ("headers", "body", "status", "message"),
    [
        pytest.param({}, b'{"prompt": ""}', 422, "prompt: String should have at least 1", id="no question"),
        pytest.param({}, b'{"prompt": "?", "model": "o"}', 422, "model: Extra inputs", id="a model"),
        pytest.param({}, b"prompt=?", 422, "Invalid JSON", id="a form"),
        pytest.param({}, b'{"prompt": "%s"}' % (b"x" * 65_536), 413, "", id="too long"),
        pytest.param({"origin": "http://evil.example"}, b"{}", 403, "another site", id="another site"),
        pytest.param({"origin": "null"}, b"{}", 403, "another site", id="a page without a site"),
        pytest.param({"host": "evil.example"}, b"{}", 400, "Invalid host", id="a name that is not ours"),
    ],
)
def test_what_the_relay_does_not_pass_on(
    headers: dict[str, str], body: bytes, status: int, message: str
) -> None:
    """What is wrong, too long, or asked by another site's page is refused, and the provider never sees it."""

    async def main() -> None:
        sim = wb.Simulator(models=[FAST])
        async with serve_relay(openai(sim), model="fast") as url, httpx2.AsyncClient() as http:
            answer = await http.post(f"{url}/ask", content=body, headers=headers)
            assert answer.status_code == status
            assert message in answer.text
            own = await http.post(f"{url}/ask", json={"prompt": "?"}, headers={"origin": url})
            assert own.status_code == 200
        assert len(sim.log) == 1

    on_the_wall_clock(main)


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        pytest.param("{", 1008, "Invalid JSON", id="no JSON"),
        pytest.param(json.dumps({"prompt": "?", "é" * 200: 1}), 1008, "é" * 61, id="more than a prompt"),
        pytest.param(b"{}", 1008, "not a text", id="bytes"),
        pytest.param("x" * 70_000, 1009, "a question has at most 65536 bytes", id="too long"),
        pytest.param("x" * 200_000, 1009, "", id="far too long"),
    ],
)
def test_a_websocket_that_asks_wrongly_is_told_so(message: str | bytes, code: int, reason: str) -> None:
    """The socket is closed with the code that the standard has for it, and a reason."""

    async def main() -> None:
        sim = wb.Simulator(models=[FAST])
        async with (
            serve_relay(openai(sim), model="fast") as url,
            websockets.connect(f"{url.replace('http', 'ws')}/ask") as connection,
        ):
            await connection.send(message)
            with pytest.raises(websockets.ConnectionClosedError):
                await connection.recv()
            assert connection.close_code == code
            assert (connection.close_reason or "").startswith(reason)
        assert len(sim.log) == 0

    on_the_wall_clock(main)


@pytest.mark.parametrize(
    ("origin", "host", "status"), [("http://evil.example", None, 403), (None, "evil.example", 400)]
)
def test_no_other_page_opens_a_websocket(origin: str | None, host: str | None, status: int) -> None:
    """A browser lets any page open a WebSocket to any server: the relay is where it is refused."""

    async def main() -> None:
        async with serve_relay(openai(wb.Simulator())) as url:
            port = urlsplit(url).port
            uri = f"ws://{host or '127.0.0.1'}:{port}/ask"
            headers = {"Origin": origin} if origin else {}
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(uri, host="127.0.0.1", port=port, additional_headers=headers)
            assert refused.value.response.status_code == status

    on_the_wall_clock(main)


def test_a_websocket_that_asks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A client that connects and leaves without a question leaves nothing behind, and no error."""

    async def main() -> None:
        async with (
            serve_relay(openai(wb.Simulator())) as url,
            websockets.connect(f"{url.replace('http', 'ws')}/ask"),
        ):
            pass

    on_the_wall_clock(main)
    assert not caplog.records


def test_the_page_and_its_parts() -> None:
    """The page, its script and its style come from the relay itself, and from nowhere else."""

    async def main() -> None:
        async with serve_relay(openai(wb.Simulator())) as url, httpx2.AsyncClient() as http:
            for path, kind in (("/", "text/html"), ("/relay.js", "javascript"), ("/relay.css", "text/css")):
                answer = await http.get(url + path)
                assert answer.status_code == 200
                assert kind in answer.headers["content-type"]
                assert "//" not in answer.text.replace("<!doctype", "").replace("// ", "")
            assert (await http.get(f"{url}/../app.py")).status_code == 404

    on_the_wall_clock(main)


def test_a_relay_needs_the_wall_clock_and_a_free_port() -> None:
    """In virtual time, and on a port that is in use or is none, there is an error that says what to do."""

    async def serve(**options: Any) -> None:
        async with serve_relay(openai(wb.Simulator()), **options):
            pass

    with pytest.raises(ConfigurationError, match="needs the wall clock"):
        wb.run(serve)

    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(ConfigurationError, match=r"port \d+ is in use: end what listens there"):
                await serve(port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="from 0 to 65535, got 70000"):
            await serve(port=70_000)

    on_the_wall_clock(main)


def test_it_is_only_on_this_machine() -> None:
    """The relay listens on the loopback interface, whatever is asked of it."""

    async def main() -> None:
        async with serve_relay(openai(wb.Simulator())) as url:
            assert urlsplit(url).hostname == "127.0.0.1"

    on_the_wall_clock(main)


def test_the_application_can_be_served_by_others() -> None:
    """A Relay is an ASGI application like any other: httpx2's transport serves it as well."""

    async def main() -> None:
        app = Relay(openai(wb.Simulator(models=[FAST])), model="fast", hosts=("relay.example",))
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://relay.example") as http:
            answer = await http.post("/ask", json={"prompt": "?"})
        decoder = Decoder()
        assert json.loads(decoder.feed(answer.content)[-1].data)["type"] == "finished"

    on_the_wall_clock(main)

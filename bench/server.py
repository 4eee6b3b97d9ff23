"""The simulated provider over HTTP: CPU a request beside aimock's, the engine alone, how true its times are.

One load client for all: raw sockets, since an SDK costs more than a server.  A server's CPU is what its
process has used, with its children.  aimock is a mock server for Node.js (npm: @copilotkit/aimock); it is
given the same answer, in as many chunks as ours has tokens.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil

from workbench.simulator import Simulator
from workbench.simulator.reception import HttpRequest

ROUNDS = 5
CHUNKS = 64
TEXT = " fox" + " fast" * (CHUNKS - 1)  # a token each
NODE = Path(__file__).parent.parent / "tools" / "node"
AIMOCK = NODE / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
AT_ONCE = """
slots = 100_000
edge_latency = 1e-6
{script}
[[models]]
provider = "openai"
name = "m"
limits = {{}}
ttft = {{ mean = 1e-6 }}
itl = {{ mean = {itl} }}
prefill_tokens_per_second = 1e12
answer_tokens = {{ mean = 64 }}
"""
ALIVE = """
[[models]]
provider = "openai"
name = "m"
"""


class Load(NamedTuple):
    """So many requests on so many connections; `itl_ms` between two chunks."""

    what: str
    stream: bool
    requests: int
    connections: int
    itl_ms: int = 0


LOADS = (
    Load("whole answers", False, 2000, 16),
    Load(f"streams of {CHUNKS} chunks at once", True, 800, 16),
    Load(f"streams of {CHUNKS} chunks, 10 ms apart", True, 400, 100, 10),
)


class Answer(NamedTuple):
    """What a client measures: seconds from its request to the first token and to the end."""

    request_id: str
    first: float
    total: float


class Asker(asyncio.Protocol):
    """Sends one request after the other on one connection."""

    def __init__(self, requests: Iterator[bytes], answers: list[Answer]) -> None:
        self.requests, self.answers = requests, answers
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError(f"the server closed the connection: {self.got!r}"))

    def ask(self) -> None:
        self.got, self.first, self.left = b"", 0.0, -1
        if (request := next(self.requests, None)) is None:
            self.done.set_result(None)
            self.transport.close()
        else:
            self.sent = time.perf_counter()
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self.got += data
        if not self.first and b'"content":" fox' in self.got:
            self.first = now
        if self.left < 0:
            head, found, _ = self.got.partition(b"\r\n\r\n")
            if not found:
                return
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self.left = len(head) + 4 + int(length) if length else 0
        if len(self.got) >= self.left if self.left else self.got.endswith(b"\r\n0\r\n\r\n"):
            assert self.got.startswith(b"HTTP/1.1 200"), self.got
            request_id = self.got.partition(b"x-request-id: ")[2].partition(b"\r\n")[0].decode()
            self.answers.append(Answer(request_id, self.first - self.sent, now - self.sent))
            self.ask()


def request_of(stream: bool, question: str = "Why does jitter help exponential backoff?") -> bytes:
    messages = [{"role": "user", "content": question}]
    body = json.dumps({"model": "m", "stream": stream, "messages": messages}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer k\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def ask(port: int, load: Load) -> list[Answer]:
    """All the requests of `load`."""
    answers: list[Answer] = []
    requests = iter([request_of(load.stream)] * load.requests)
    loop = asyncio.get_running_loop()
    askers = [
        (await loop.create_connection(lambda: Asker(requests, answers), "127.0.0.1", port))[1]
        for _ in range(load.connections)
    ]
    await asyncio.gather(*(asker.done for asker in askers))
    assert len(answers) == load.requests
    return answers


# -- servers -------------------------------------------------------------------------------------------


@contextmanager
def process(command: Iterable[str | Path], port: int | None = None) -> Iterator[tuple[int, psutil.Process]]:
    """A server in a process of its own, and the port on which it listens; it may print that itself."""
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            while port is None:
                port = urlsplit(server.stdout.readline().split(" at ")[-1].split(" ")[0]).port
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield port, psutil.Process(server.pid)
        finally:
            server.terminate()


@contextmanager
def workbench(scenario: str) -> Iterator[tuple[int, psutil.Process]]:
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(scenario)
        file.flush()
        command = [sys.executable, "-m", "workbench", "serve", "--port", "0", "--scenario", file.name]
        with process(command) as server:
            yield server


@contextmanager
def aimock(itl_ms: int) -> Iterator[tuple[int, psutil.Process]]:
    fixture = {"match": {"userMessage": "jitter"}, "response": {"content": TEXT}}
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        path = Path(folder) / "fixtures.json"
        path.write_text(json.dumps({"fixtures": [fixture]}))
        options: list[str | Path] = [
            "--port",
            str(port),
            "--fixtures",
            path,
            "--chunk-size",
            "5",
            "--latency",
            str(itl_ms),
        ]
        with process(["node", AIMOCK, *options, "--log-level", "silent"], port) as server:
            yield server


def aimock_is_here() -> bool:
    """Whether aimock can be run; npm installs it if need be."""
    if not (shutil.which("node") and shutil.which("npm")):
        print("Node.js or npm is missing: ours is measured alone.")
        return False
    if not AIMOCK.exists():
        subprocess.run(["npm", "install", "--silent", "--prefix", NODE], check=False)
    if not AIMOCK.exists():
        print(f"aimock is missing (`npm install` in {NODE.name}/ failed): ours is measured alone.")
    return AIMOCK.exists()


# -- measurements --------------------------------------------------------------------------------------


def cpu(server: psutil.Process) -> float:
    times = [each.cpu_times() for each in (server, *server.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))


def cost(port: int, server: psutil.Process, load: Load) -> tuple[float, float]:
    """CPU a request (µs), and requests a second."""
    spent, started = cpu(server), time.perf_counter()
    asyncio.run(ask(port, load))
    took = time.perf_counter() - started
    return (cpu(server) - spent) / load.requests * 1e6, load.requests / took


def compare(load: Load, peer: bool) -> dict[str, object]:
    """Ours, with a scripted answer and with its own words, and aimock, in turns."""
    itl = load.itl_ms / 1000 or 1e-9
    with ExitStack() as stack:
        scripted = AT_ONCE.format(script=f"script = {json.dumps(TEXT)}", itl=itl)
        servers = {"ours": stack.enter_context(workbench(scripted))}
        servers["own words"] = stack.enter_context(workbench(AT_ONCE.format(script="", itl=itl)))
        if peer:
            servers["aimock"] = stack.enter_context(aimock(load.itl_ms))
        for port, server in servers.values():  # once unmeasured: a compiler may have to warm up
            cost(port, server, load)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in servers}
        for _ in range(ROUNDS):
            for name, (port, server) in servers.items():
                found[name].append(cost(port, server, load))
    row: dict[str, object] = {"what": load.what}
    for name, pairs in found.items():
        used, rate = (median(column) for column in zip(*pairs, strict=True))
        row |= {f"{name}_us": round(used), f"{name}_per_s": round(rate)}
        print(f"{load.what:36}{name:10}{used:8.0f} µs CPU a request{rate:8.0f} requests/s")
    return row


def engine(stream: bool, own_words: bool) -> float:
    """Requests a second of the engine alone, without HTTP and clock."""
    requests = 1000
    simulator = Simulator(seed=1, script=None if own_words else TEXT)
    body = [request_of(stream, f"{number}: jitter?").partition(b"\r\n\r\n")[2] for number in range(requests)]
    headers, date = {"authorization": "Bearer k"}, datetime(2025, 1, 1, tzinfo=UTC)
    started = time.perf_counter()
    for number, data in enumerate(body):
        data = data.replace(b'"m"', b'"gpt-4o-mini"')
        request = HttpRequest("POST", "/v1/chat/completions", headers.get, data)
        for _ in simulator._engine.receive("openai", request, float(number), date).parts:
            pass
    return requests / (time.perf_counter() - started)


def accuracy() -> dict[str, object]:
    """What a client measures, less what the log says, in milliseconds: 1,000 streams, 40 at a time."""
    load = Load("", True, 1000, 40)
    with workbench(f"script = {json.dumps(TEXT)}\n{ALIVE}") as (port, _):
        asyncio.run(ask(port, load._replace(requests=load.connections)))  # unmeasured, as above
        answers = {answer.request_id: answer for answer in asyncio.run(ask(port, load))}
        with urlopen(f"http://127.0.0.1:{port}/log") as page:
            records = [r for line in page if (r := json.loads(line))["request_id"] in answers]
    row: dict[str, object] = {"what": "accuracy"}
    for name, truth in (("first", "first_token"), ("total", "ended")):
        errors = [
            1000 * (getattr(answers[r["request_id"]], name) - (r[truth] - r["arrival"])) for r in records
        ]
        p50, p99 = median(errors), quantiles(errors, n=100)[98]
        row |= {f"{name}_p50_ms": round(p50, 2), f"{name}_p99_ms": round(p99, 2)}
        print(f"measured less logged, {name:6} p50 {p50:6.2f} ms, p99 {p99:6.2f} ms of {len(errors)} streams")
    return row


def main() -> list[dict[str, object]]:
    """Measure; one row for each kind of load, one for the engine, one for the accuracy."""
    peer = aimock_is_here()
    rows = [compare(load, peer) for load in LOADS]
    alone: dict[str, object] = {"what": "engine alone"}
    for stream in (False, True):
        for own_words in (False, True):
            rate = median(engine(stream, own_words) for _ in range(ROUNDS))
            name = f"{'streams' if stream else 'whole'}, {'own words' if own_words else 'scripted'}"
            alone[name] = round(rate)
            print(f"engine alone, {name:22} {rate:6.0f} requests/s")
    return [*rows, alone, accuracy()]


if __name__ == "__main__":
    main()

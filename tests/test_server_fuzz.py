"""Whatever comes over the wire, the server answers in its provider's words or closes, and goes on."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.simulator import Latency, ModelProfile, Simulator, asgi, server

MODELS = [
    ModelProfile(
        name="m",
        provider=provider,
        ttft=Latency(mean=1e-6),
        itl=Latency(mean=1e-6),
        prefill_tokens_per_second=1e12,
        answer_tokens=Latency(mean=3),
    )
    for provider in ("openai", "anthropic")
]
HEADERS = {
    "authorization": "Bearer k",
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
}
PATHS = [
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/models",
    "/v1/embeddings",
    "/v1/responses",
    "/log",
    "/metrics",
    "/health",
    "/",
]
KNOWN = {200, 400, 401, 404, 405, 413}


Serving = Callable[[Simulator], AbstractContextManager[str]]


def simulator() -> Simulator:
    """One that answers at once."""
    return Simulator(models=MODELS, edge_latency=1e-6, max_body_bytes=10_000)


@pytest.fixture(scope="module")
def client(serving: Serving) -> Iterator[httpx2.Client]:
    """The client of a server that all the cases share: what one does to it, the next ones find."""
    with (
        serving(simulator()) as url,
        httpx2.Client(verify=False, base_url=url, headers=HEADERS) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def port(serving: Serving) -> Iterator[int]:
    """The port of a server that waits for nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "_HEAD_SECONDS", 0.02)
        patch.setattr(server, "_IDLE_SECONDS", 0.02)
        patch.setattr(asgi, "_BODY_SECONDS", 0.02)
        patch.setattr(asgi, "_FAREWELL_SECONDS", 0.02)
        with serving(simulator()) as url:
            yield urlsplit(url).port or 0


def is_an_error(body: Any, path: str) -> bool:
    """Whether that is the shape of the provider's, or the page's, own errors."""
    if not path.startswith("/v1/"):
        return bool(body["error"]["message"])
    return (
        body["type"] == "error" and {"type", "message"} <= body["error"].keys() and bool(body["request_id"])
    )


# -- JSON ----------------------------------------------------------------------------------------------

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "text", "role", "content", "name", "id", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
CHAT: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        {"role": "assistant", "content": "Because."},
        {"role": "user", "content": "Oh."},
    ],
    "stream": False,
    "temperature": 1,
    "stop": ["x"],
    "tools": [],
    "tool_choice": "auto",
    "n": 1,
    "response_format": {"type": "text"},
    "input": "Why?",
}


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A right request in which one or two things are something else, or gone."""
    body = json.loads(json.dumps(CHAT))
    for _ in range(draw(st.integers(1, 2))):
        at = body
        while isinstance(at, dict | list) and at:
            keys = list(at) if isinstance(at, dict) else range(len(at))
            key = draw(st.sampled_from(list(keys)))
            if not isinstance(at[key], dict | list) or not at[key] or draw(st.booleans()):
                if isinstance(at, dict) and draw(st.booleans()):
                    del at[key]
                else:
                    at[key] = draw(ANY)
                break
            at = at[key]
    return body


@settings(max_examples=600)
@given(path=st.sampled_from(PATHS), body=mutated() | ANY)
def test_any_json(client: httpx2.Client, path: str, body: Any) -> None:
    """Any JSON at any path gets an answer or a 4xx in the provider's own shape, never a 5xx."""
    answer = client.post(path, content=json.dumps(body).encode())
    assert answer.status_code in KNOWN
    if answer.status_code != 200:
        assert is_an_error(answer.json(), path)
    else:
        assert path.startswith("/v1/")


@settings(max_examples=200)
@given(path=st.sampled_from(PATHS[:5]), body=st.binary(max_size=60))
@example(path="/v1/messages", body=b"[" * 9000)
@example(path="/v1/messages", body=b'{"model": "\\ud800"}')
@example(path="/v1/chat/completions", body=b'{"n": 1e999}')
@example(path="/v1/chat/completions", body=b"1" * 5000)
@example(path="/v1/chat/completions", body=b"x" * 10_001)
def test_any_body(client: httpx2.Client, path: str, body: bytes) -> None:
    """Bytes that are no JSON get a 4xx in the provider's own shape."""
    answer = client.post(path, content=body)
    assert answer.status_code in KNOWN - {200}
    assert is_an_error(answer.json(), path)


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@settings(max_examples=200)
@given(
    method=st.sampled_from(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "POST"]),
    path=st.lists(
        st.sampled_from(["v1", "messages", "models", "chat", "log", "..", "", "m", "%2e", "%ff"]), max_size=5
    ),
    query=st.lists(st.tuples(TEXT, TEXT), max_size=3),
    key=st.none() | TEXT,
)
def test_any_route(
    client: httpx2.Client, method: str, path: list[str], query: list[tuple[str, str]], key: str | None
) -> None:
    """Any method, path, query and key are answered, and by no 5xx."""
    url = f"http://127.0.0.1:{client.base_url.port}/{'/'.join(path)}"
    headers = {} if key is None else {"authorization": f"Bearer {key}".strip(), "x-api-key": key.strip()}
    answer = client.request(method, url, params=dict(query), headers=headers)
    assert answer.status_code in KNOWN


# -- bytes ---------------------------------------------------------------------------------------------

RIGHT = json.dumps({name: CHAT[name] for name in ("model", "max_tokens", "messages")}).encode()
ASKED = b"".join(
    [
        b"POST /v1/messages HTTP/1.1\r\nconnection: close\r\ncontent-length: %d\r\n" % len(RIGHT),
        *(f"{name}: {value}\r\n".encode() for name, value in HEADERS.items()),
        b"\r\n",
        RIGHT,
    ]
)
PIECES = st.sampled_from(
    [
        b"POST /v1/messages HTTP/1.1\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\n",
        b"GET /log?after=0 HTTP/1.1\r\n",
        b"GET /metrics HTTP/1.0\r\n",
        b"HEAD /health HTTP/1.1\r\n",
        b"host: x\r\n",
        b"authorization: Bearer k\r\n",
        b"anthropic-version: 2023-06-01\r\n",
        b"connection: close\r\n",
        b"expect: 100-continue\r\n",
        b"upgrade: websocket\r\nconnection: upgrade\r\n",
        b"transfer-encoding: chunked\r\n",
        b"content-length: %d\r\n" % len(RIGHT),
        b"content-length: 20000\r\n",
        b"content-length: 3\r\n",
        b"\r\n",
        RIGHT,
        b"%x\r\n" % len(RIGHT) + RIGHT + b"\r\n",
        b"0\r\n\r\n",
    ]
)


def exchange(port: int, pieces: list[bytes], *, read: bool) -> bytes:
    """Send the pieces one by one, and read what comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        got = b""
        with suppress(ConnectionError):
            for piece in pieces:
                client.sendall(piece)
            while read and (more := client.recv(65_536)):
                got += more
        return got


@settings(max_examples=400)
@given(pieces=st.lists(PIECES | st.binary(max_size=20), max_size=9), read=st.booleans())
def test_any_bytes(port: int, pieces: list[bytes], read: bool) -> None:
    """Whatever bytes come, HTTP or nothing goes back, the connection ends, the next request is served."""
    got = exchange(port, pieces, read=read)
    assert got == b"" or got.startswith(b"HTTP/1.1 ")
    assert b" 500 " not in got[:20]
    assert exchange(port, [ASKED], read=True).startswith(b"HTTP/1.1 200 ")

"""Real HTTP on 127.0.0.1, for tests of what goes over a socket."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx2

from workbench.simulator import Simulator

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True  # one that waits on an idle connection holds nobody up
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news."""


@contextlib.contextmanager
def listening(handler: Callable[..., Any]) -> Iterator[str]:
    """Serve each connection by `handler`, as in :mod:`socketserver`; gives the URL."""
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def serving(simulator: Simulator) -> contextlib.AbstractContextManager[str]:
    """A simulated provider over HTTP, on the wall clock; gives the URL, without the ``/v1``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            transport = simulator.transport("anthropic" if self.path == "/v1/messages" else "openai")
            with httpx2.Client(transport=transport) as client:
                url = f"http://simulator.invalid{self.path}"
                with client.stream("POST", url, content=body, headers=dict(self.headers)) as answer:
                    self.send_response_only(answer.status_code)
                    for name, value in answer.headers.items():
                        if name not in ("content-length", "transfer-encoding"):
                            self.send_header(name, value)
                    self.send_header("transfer-encoding", "chunked")
                    self.end_headers()
                    for part in answer.iter_raw():
                        self.wfile.write(chunk(part))
                    self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return listening(Handler)


def chunk(body: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(body), body)


def saying(*said: bytes, reset: bool = False, hold: threading.Event | None = None) -> Callable[..., Any]:
    """A handler that reads one request's head, says these bytes, and breaks off.

    It closes the connection in order, or by a reset, or once `hold` is set.
    """

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard = b""
            while b"\r\n\r\n" not in heard:
                heard += self.request.recv(65536)
            for part in said:
                self.request.sendall(part)
            if hold:
                hold.wait()
            if reset:
                linger = struct.pack("ii", 1, 0)
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.request.close()

    return Handler


def closed_port() -> str:
    """A URL at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

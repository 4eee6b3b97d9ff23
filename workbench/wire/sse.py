"""Server-sent events as bytes (WHATWG HTML, section 9.2)."""

from __future__ import annotations

__all__ = ["encode"]


def encode(data: str, event: str | None = None) -> bytes:
    """One event: `data` line by line, under the name `event` where one is given."""
    name = "" if event is None else f"event: {event}\n"
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"{name}{lines}\n".encode()

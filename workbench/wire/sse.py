"""Server-sent events, both ways (WHATWG HTML, section 9.2): text to bytes, and bytes to events as they come.

A line ends with LF, CR or CRLF, all of them ASCII: so the bytes are cut into lines before they are decoded,
and a character that two chunks share is never looked at before it is whole.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from workbench.errors import EventTooLargeError

__all__ = ["Decoder", "ServerSentEvent", "encode"]

_CR, _LF = b"\r\n"  # as numbers, which `in` finds in a third of the time that it takes for bytes
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_USUAL = re.compile(rb"(?:event: ?(.*)\n)?data: ?(.*)").fullmatch  # what nearly every event looks like
_new = tuple.__new__  # half the time of ServerSentEvent(...)
_RETRY_DIGITS = 15  # more is no time that anybody waits


class ServerSentEvent(NamedTuple):
    """One event.

    Args:
        data: what it says.
        event: its name; where the stream gives none, it is a message.
        id: the last id that the stream has given, to this event or to one before it.
    """

    data: str
    event: str = "message"
    id: str = ""


def encode(
    data: str, event: str | None = None, id: str | None = None, *, retry_ms: int | None = None
) -> bytes:
    """One event as bytes; ``encode(*event)`` says all that a :class:`ServerSentEvent` does.

    Args:
        data: what it says; a CR or CRLF in it arrives as LF, since the standard knows only lines.
        event: its name; None: it has none.
        id: its id; None: the one before it still holds.
        retry_ms: how long a client that has lost the stream waits before it comes back, in milliseconds.

    Raises:
        ValueError: the name or the id would end its line, or the id holds a NUL, for which it is ignored.
    """
    head = "" if event is None else f"event: {_one_line('event', event)}\n"
    if id is not None:
        head += f"id: {_one_line('id', id)}\n"
    if retry_ms is not None:
        head += f"retry: {retry_ms:d}\n"
    if "\r" in data:
        data = data.replace("\r\n", "\n").replace("\r", "\n")
    if "\n" in data:
        data = data.replace("\n", "\ndata: ")
    return f"{head}data: {data}\n\n".encode()


def _one_line(field: str, value: str) -> str:
    if "\n" in value or "\r" in value or (field == "id" and "\0" in value):
        raise ValueError(f"an event's {field} is one line, an id without NUL, got {value!r}")
    return value


class Decoder:
    """Turns the bytes of a stream into its events, each as soon as the empty line after it has come.

    Args:
        max_event_bytes: the length between two empty lines at which a stream is given up.

    Attributes:
        last_event_id: what a client that has lost the stream sends as ``Last-Event-ID``.
        retry_ms: how long it waits first, in milliseconds; None: no stream has said so.
    """

    def __init__(self, *, max_event_bytes: int = 16 * 2**20) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._max = max_event_bytes
        self._rest = bytearray()  # since the last empty line
        self._begin()

    def _begin(self) -> None:
        self._first = True  # the next line may begin with a byte order mark
        self._after_cr = False  # an LF that comes next belongs to that CR
        self._id = ""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that `data` completes: the next bytes of the stream, cut anywhere.

        Raises:
            EventTooLargeError: there was no empty line for too long.
        """
        if _CR in data or self._after_cr:
            data = self._with_plain_ends(data)
        rest = self._rest
        if rest:
            rest += data
            if _LF not in data or rest.find(b"\n\n", -len(data) - 1) < 0:
                if len(rest) > self._max:
                    self._check(len(rest) - 1)  # its last byte may be the end of its line
                return []
            data = bytes(rest)
            rest.clear()
        blocks = data.split(b"\n\n")
        rest += blocks.pop()
        if len(data) > self._max:
            self._check(max([len(rest) - 1, *map(len, blocks)]))
        if self._first and blocks:
            blocks[0] = blocks[0].removeprefix(_BYTE_ORDER_MARK)
            self._first = False
        events: list[ServerSentEvent] = []
        for block in blocks:
            if match := _USUAL(block):
                name, said = match.groups()
                kind = name.decode("utf-8", "replace") if name else "message"
                events.append(_new(ServerSentEvent, (said.decode("utf-8", "replace"), kind, self._id)))
            elif event := self._interpret(block):
                events.append(event)
            self.last_event_id = self._id
        return events

    def end(self) -> None:
        """The stream is over: what it left incomplete is no event, and the next chunk begins another one."""
        lines = bytes(self._rest).removeprefix(_BYTE_ORDER_MARK if self._first else b"")
        self._interpret(lines[: lines.rfind(b"\n") + 1])  # a time to wait counts when its line has ended
        self._rest.clear()
        self._begin()

    def _with_plain_ends(self, data: bytes) -> bytes:
        """`data` with LF in place of CR and of CRLF, which may be cut in two."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if _CR in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _check(self, size: int) -> None:
        if size > self._max:
            limit = f"max_event_bytes, which is {self._max:,}"
            raise EventTooLargeError(f"an event is longer than {limit}: is this an event stream?")

    def _interpret(self, block: bytes) -> ServerSentEvent | None:
        """The event that the lines before an empty line make; they make one if they have data."""
        kind, said = "", []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")  # that of a comment is empty
            value = value.removeprefix(b" ")
            if field == b"data":
                said.append(value)
            elif field == b"event":
                kind = value.decode("utf-8", "replace")
            elif field == b"id" and b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
            elif field == b"retry" and value.isdigit() and len(value) <= _RETRY_DIGITS:
                self.retry_ms = int(value)
        if not said:
            return None
        return ServerSentEvent(b"\n".join(said).decode("utf-8", "replace"), kind or "message", self._id)

"""What a page knows of a board: board.js's class `Streams` in Python, for the tests of both sides."""

from __future__ import annotations

import json
import zlib
from typing import Any

from workbench.widgets.frames import Frame
from workbench.widgets.pane import ENDED, Pane

MARKS = ("state", "begin", "ttft", "end", "tokens", "rate", "note")


def units(text: str) -> bytes:
    """A page counts in UTF-16."""
    return text.encode("utf-16-le")


class Unpacker:
    """Reads frames that were compressed in runs: board.js's class of that name."""

    def __init__(self) -> None:
        self.place = 0

    def unpack(self, place: int, packed: bytes) -> Frame | None:
        if place == 0:
            self.place, self.inflate = 0, zlib.decompressobj(-zlib.MAX_WBITS)
        if place != self.place:
            return None
        self.place += 1
        frame: Frame = json.loads(self.inflate.decompress(packed))
        return frame


class Page:
    """Takes frames in, and says which panes it lacks something of."""

    def __init__(self) -> None:
        self.panes: dict[int, dict[str, Any]] = {}

    def apply(self, frame: Frame) -> set[int]:
        lacking = set()
        for index, title, limit in frame.get("panes", []):
            new = {"begin": 0, "end": 0, "text": b""}
            self.panes[index] = {**new, **self.panes.get(index, {}), "title": title, "limit": limit}
        for index, *marks in frame.get("marks", []):
            if not (pane := self.panes.get(index)):
                continue
            news = dict(zip(MARKS, marks, strict=True))
            pane["text"] = pane["text"][2 * (news["begin"] - pane["begin"]) :]
            pane.update(news)
        for index, place, piece in frame.get("text", []):
            has = self.end(index)
            if place > has:
                lacking.add(index)
            else:
                self.panes[index]["text"] += units(piece)[2 * (has - place) :]
        lacking |= {index for index, pane in self.panes.items() if self.end(index) < pane["end"]}
        ended = "".join("01"[self.panes[index].get("state") in ENDED] for index in sorted(self.panes))
        known = [sum(map(self.end, self.panes)), ended]
        if frame.get("sum", known) != known:
            lacking.update(range(len(frame["sum"][1])))
        return lacking

    def end(self, index: int) -> int:
        if index not in self.panes:
            return -1
        return int(self.panes[index]["begin"]) + len(self.panes[index]["text"]) // 2

    def text(self, index: int) -> str:
        return str(self.panes[index]["text"].decode("utf-16-le"))

    def shows(self, index: int, pane: Pane) -> bool:
        """Whether it shows that pane as it is."""
        if index not in self.panes:
            return False
        has = self.panes[index]
        keys = ("title", "limit", "state", "tokens")
        wanted = [pane.title, pane.max_tokens, pane.state, pane.tokens]
        return self.text(index) == pane.text and [has.get(key) for key in keys] == wanted

"""What a page has to be told so that it shows what the panes hold, whatever is lost on the way.

A message ("frame") is a JSON object of lists, with one entry for each pane that they are about, which begins
with the pane's index; and of a sum over all panes, now and then::

    {"panes": [[index, title, max_tokens]],
     "marks": [[index, state, begin, ttft, end, tokens, rate, note]],
     "text":  [[index, place, piece]],
     "sum":   [where their texts end, added up, "1" or "0" for each: whether it has ended]}

The page reads them in that order.  A piece begins at its place: what the page has already, it skips.  Where
there is a gap before it, or a text does not reach the end that its marks tell, the page asks for that pane;
where its own sum is another, for all.  The answer is a keyframe: the pane as a whole.  Where a page cannot
ask (a kernel may hear nothing while its cell runs), it gets the keyframes of all in turn.

Frames go out compressed, in runs: those of one run share their history, so that words which came before cost
little.  A page that lacks one of a run leaves out the rest of it, and asks like any other.

Rule of this file: places only grow, so that a piece that comes twice does no harm.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from workbench.widgets.pane import ENDED, Pane

__all__ = ["Frame", "Frames", "Packer"]

Frame: TypeAlias = dict[str, list[Any]]

_AT_ONCE = 3  # the first marks, whose changes are told at once
_KEYFRAME_EACH = 20  # frames
_RUN = 20  # frames that are compressed together
_STEADY = 10  # tokens, before their rate means anything


class _Sent:
    """What was last told of one pane."""

    def __init__(self) -> None:
        self.begin = self.place = self.pieces = 0
        self.limit: int | None = None
        self.marks: list[Any] = []
        self.stale = True  # has changed since its last keyframe


class Frames:
    """Makes the frames of some panes, which may become more.

    Args:
        panes: what the page is to show.
    """

    def __init__(self, panes: Sequence[Pane]) -> None:
        self._panes = panes
        self._sent: list[_Sent] = []
        self._wanted: set[int] = set()
        self._count = self._turn = 0

    def want(self, indices: Iterable[int] | None = None) -> None:
        """Have keyframes of these panes (None: of all) in the next frame."""
        self._wanted.update(range(len(self._panes)) if indices is None else indices)

    def next(self) -> Frame | None:
        """The next frame; None if there is nothing to tell."""
        self._count += 1
        if self._count % _KEYFRAME_EACH == 0:
            self._want_the_next_in_turn()
        frame: Frame = {"panes": [], "marks": [], "text": []}
        for index, pane in enumerate(self._panes):
            if index == len(self._sent):
                self._sent.append(_Sent())
            self._tell(frame, index, pane, self._sent[index])
        self._wanted.clear()
        return {name: entries for name, entries in frame.items() if entries} or None

    def sum(self) -> list[Any]:
        """By which a page that has had the latest frame sees whether it has had all.

        Its texts are never longer than they should be: so if they add up, each is right.
        """
        ended = "".join("01"[pane.state in ENDED] for pane in self._panes)
        return [sum(pane.end for pane in self._panes), ended]

    def _want_the_next_in_turn(self) -> None:
        total = len(self._sent)
        turns = ((self._turn + step) % total for step in range(total))
        index = next((turn for turn in turns if self._sent[turn].stale), None)
        if index is not None:
            self._wanted.add(index)
            self._turn = index + 1

    def _pace(self) -> int:
        """Frames from one telling of figures to the next: seldom enough to be read, and to cost little."""
        return min(10, 3 + len(self._panes) // 4)

    def _tell(self, frame: Frame, index: int, pane: Pane, sent: _Sent) -> None:
        whole = index in self._wanted or not sent.marks or sent.limit != pane.max_tokens
        if whole:
            frame["panes"].append([index, pane.title, pane.max_tokens])
            sent.limit = pane.max_tokens
        if whole or sent.begin != pane.begin:
            sent.begin = sent.place = pane.begin
            sent.pieces = 0
        marks = _marks(pane)
        due = (self._count + index) % self._pace() == 0 and marks != sent.marks
        if told := whole or due or marks[:_AT_ONCE] != sent.marks[:_AT_ONCE]:
            frame["marks"].append([index, *marks])
            sent.marks = marks
        if piece := "".join(pane.pieces[sent.pieces :]):
            frame["text"].append([index, sent.place, piece])
        sent.place, sent.pieces = pane.end, len(pane.pieces)
        sent.stale = index not in self._wanted and (sent.stale or told or piece != "")


class Packer:
    """Compresses frames: raw deflate of JSON in UTF-8, each ended by a sync flush (RFC 1951)."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin a new run, which can be read without anything that came before."""
        self._place = 0
        self._deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)

    def pack(self, frame: dict[str, Any]) -> tuple[int, bytes]:
        """The frame's place in its run, and its bytes."""
        if self._place == _RUN:
            self.restart()
        place, self._place = self._place, self._place + 1
        text = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return place, self._deflate.compress(text) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _marks(pane: Pane) -> list[Any]:
    steady = pane.ended is not None or pane.tokens >= _STEADY
    again = f"attempt {pane.attempts}" if pane.attempts > 1 else ""
    return [
        pane.state,
        pane.begin,
        None if pane.ttft is None else round(pane.ttft, 3),
        pane.end,
        pane.tokens,
        round(pane.rate, 1) if pane.rate is not None and steady else None,
        pane.error or again,
    ]

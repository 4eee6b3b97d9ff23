"""One stream: its state, what has come of it, and when.  A machine: it has no clock and shows nothing.

Rule of this file: the text of one attempt only grows.  Its places are counted in UTF-16 units, as a page
does, and over all attempts: so a place never means two things.
"""

from __future__ import annotations

from workbench.events import (
    CitationDelta,
    Event,
    Finished,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from workbench.progress import State

__all__ = ["ENDED", "NEXT", "Pane"]

NEXT: dict[State, tuple[State, ...]] = {
    "queued": ("running", "cancelled"),
    "running": ("done", "failed", "cancelled"),
    "failed": ("retrying",),
    "retrying": ("running", "failed", "cancelled"),
    "done": (),
    "cancelled": (),
}
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")


class Pane:
    """One stream of a board.  Times are seconds since the board was opened.

    Args:
        title: what it is called.
        max_tokens: the longest answer that may come, for a progress bar; None: unknown.

    Attributes:
        attempts: how often it has been sent.
        tokens: pieces that have come; in the end what the provider charges for, where it says so.
        started: when the last attempt was sent.
        first: when its first token came.
        last: when its latest token came.
        ended: when it ended.
        error: what ended it, if something did.
        begin: where the attempt's text begins.
        end: where it ends so far.
    """

    def __init__(self, title: str, max_tokens: int | None = None) -> None:
        if not isinstance(title, str):
            raise TypeError(f"a stream's title must be a string, got {title!r}")
        self.title, self.max_tokens = title, max_tokens
        self.state: State = "queued"
        self.attempts = self.tokens = 0
        self.started: float | None = None
        self.first: float | None = None
        self.last: float | None = None
        self.ended: float | None = None
        self.error = ""
        self.begin = self.end = 0
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        """What has come; a tool call is a line with its name and its arguments."""
        return "".join(self.pieces)

    @property
    def ttft(self) -> float | None:
        """Seconds to the first token."""
        return None if self.first is None or self.started is None else self.first - self.started

    @property
    def rate(self) -> float | None:
        """Tokens a second, from the first to the latest."""
        if self.first is None or self.last is None or self.last <= self.first:
            return None
        return (self.tokens - 1) / (self.last - self.first)

    def send(self, now: float) -> None:
        """The request is sent, for the first time or again."""
        self.move("running" if self.state == "queued" else "retrying")
        self.attempts += 1
        self.started, self.first, self.last, self.ended = now, None, None, None
        self.tokens, self.error = 0, ""
        self.begin, self.pieces = self.end, []

    def take(self, event: Event, now: float) -> None:
        """The next event has come.

        Raises:
            TypeError: it is no event of ours.
        """
        if self.state == "retrying":
            self.move("running")
        if isinstance(event, TextDelta | RefusalDelta):
            self._grow(event.text)
        elif isinstance(event, ToolCallDelta):
            head = "" if event.name is None else f"{chr(10) if self.pieces else ''}⚙ {event.name} "
            self._grow(head + event.arguments)
        elif isinstance(event, Finished):
            self.tokens = event.usage.output_tokens or self.tokens
            return
        elif isinstance(event, Started | CitationDelta):
            return
        elif not isinstance(event, ThinkingDelta):
            raise TypeError(
                f"a board follows events, such as those of provider.stream(request), and got {event!r}"
            )
        if self.first is None:
            self.first = now
        self.last = now
        self.tokens += 1

    def finish(self, state: State, now: float, error: str = "") -> None:
        """The stream has ended."""
        self.move(state)
        self.ended, self.error = now, error

    def move(self, state: State) -> None:
        """Change the state.

        Raises:
            ValueError: that state cannot follow the present one.
        """
        if state == self.state:
            return
        if state not in NEXT[self.state]:
            raise ValueError(f"the stream {self.title!r} is {self.state}, and cannot become {state}")
        self.state = state

    def _grow(self, piece: str) -> None:
        self.pieces.append(piece)
        self.end += len(piece.encode("utf-16-le", "surrogatepass")) // 2

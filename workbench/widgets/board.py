"""Many streams on one board, live: what has come of each, how fast, and a button that stops it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import weakref
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from workbench.clock import virtual_loop
from workbench.errors import StreamCancelledError
from workbench.events import Accumulator, Event
from workbench.messages import Completion
from workbench.progress import State, kernel, on_pause
from workbench.redaction import Redactor
from workbench.widgets.frozen import summary
from workbench.widgets.pane import Pane
from workbench.widgets.views import View, choose, frozen

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["StreamBoard"]

_FRAME = 0.1  # seconds between two looks; also how soon the loop sees an interrupt


@dataclass(slots=True)
class _Following:
    """A stream that is being followed, by whom, and whether it has been asked to stop."""

    task: asyncio.Task[Any]
    cancelling: int
    asked: bool = False


class StreamBoard:
    """Shows streams while they run, and what came of them when they have ended::

        async with wb.StreamBoard(questions) as board:
            answers = await wb.fan_out(
                lambda question: board.follow(provider.stream(request(question)), question),
                questions, limit=4, on_error="return",
            )

    In a notebook it is one widget for all streams, with a button to cancel each and all.  When the block
    ends, it becomes a table in plain HTML, which needs no kernel and no script; in virtual time, and where
    nobody looks on, there is only that.  In a terminal it is a table, too.  No stream outlives its board.

    Args:
        titles: streams that are to come: each waits on the board until it is followed by its title.
    """

    def __init__(self, titles: Iterable[str] = ()) -> None:
        if isinstance(titles, str):
            raise TypeError(f"titles must be a collection of titles: put the one in a list: [{titles!r}]")
        self._panes = [Pane(title) for title in titles]
        self._followed: dict[Pane, _Following] = {}
        self._none_followed = asyncio.Event()
        self._refuses = False
        self._shown = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._opened = 0.0
        self._ended: float | None = None

    def __repr__(self) -> str:
        return f"<StreamBoard: {summary(self._panes, self._now())}>"

    @property
    def panes(self) -> Sequence[Pane]:
        """The streams, in the order in which they came; times are seconds since the board was opened."""
        return tuple(self._panes)

    def to_frame(self) -> pd.DataFrame:
        """One row for each stream: its `title`, `state`, `attempts`, `tokens`, times, `error` and `text`."""
        import pandas as pd

        names = ["title", "state", "attempts", "tokens", "started", "ttft", "ended", "rate", "error", "text"]
        return pd.DataFrame([[getattr(pane, name) for name in names] for pane in self._panes], columns=names)

    async def follow(
        self, stream: AsyncIterable[Event], title: str = "", *, max_tokens: int | None = None
    ) -> Completion:
        """Show a stream until it ends, and return the whole answer.

        A title that waits on the board is taken; under the title of a stream that has failed, this is its
        next attempt; every other stream gets a place of its own.

        Args:
            stream: events, such as those of ``provider.stream(request)``; it is closed in any case.
            title: what it is called on the board.
            max_tokens: the longest answer that may come, for a progress bar.

        Raises:
            StreamCancelledError: somebody has cancelled this stream on the board; it keeps what had come.
            RuntimeError: the board is not open.
            TypeError: it is no stream of events.
            Exception: whatever the stream raises.
        """
        if not isinstance(stream, AsyncIterable):
            raise TypeError(
                f"follow() takes a stream of events, such as provider.stream(request), got {stream!r}"
            )
        async with contextlib.AsyncExitStack() as stack:
            if close := getattr(stream, "aclose", None):
                stack.push_async_callback(close)
            if self._loop is None or self._ended is not None:
                raise RuntimeError("this board is not open: follow streams inside `async with board:`")
            answer, pane = Accumulator(), self._claim(title)
            pane.max_tokens = max_tokens
            with self._following(pane):
                async for event in stream:
                    pane.take(event, self._now())
                    answer.add(event)
                return answer.completion()

    def retrying(self, title: str) -> None:
        """Say that the stream of that title, which has failed, will be sent again after a pause."""
        for pane in self._panes:
            if pane.title == title and pane.state == "failed":
                pane.move("retrying")
                return

    def cancel(self, title: str | None = None) -> None:
        """Stop the streams of that title, or all, those included that are still to come.

        Call it from the event loop's thread.
        """
        self._refuses |= title is None
        for pane in self._panes:
            if title is None or pane.title == title:
                self._cancel(pane)

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise RuntimeError("a board is opened once: make a new one")
        self._loop = asyncio.get_running_loop()
        self._opened = self._loop.time()
        self._none_followed.set()
        if not self._shown:
            self._show()
        if self._view.live and virtual_loop() is None:
            self._tick()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            for pane in list(self._followed):
                self._cancel(pane)
            await self._none_followed.wait()
        finally:
            for pane in self._panes:
                if pane.state == "retrying":  # it was only announced
                    pane.move("failed")
            self._ended = self._now()
            if self._timer is not None:
                self._timer.cancel()
            self._view.end(self._ended)

    def _ipython_display_(self) -> None:
        if self._ended is None and kernel() is not None:
            self._show()
        else:
            from IPython.display import display

            display(frozen(self._panes, self._now()), raw=True)  # type: ignore[no-untyped-call]  # IPython

    # -- the streams ----------------------------------------------------------------------------------

    def _claim(self, title: str) -> Pane:
        for pane in self._panes:
            waits = pane.state in ("queued", "failed", "retrying") or not pane.attempts
            if title and pane.title == title and waits and pane not in self._followed:
                return pane
        self._panes.append(pane := Pane(title or f"stream {len(self._panes) + 1}"))
        return pane

    @contextlib.contextmanager
    def _following(self, pane: Pane) -> Iterator[None]:
        if self._refuses:
            self._cancel(pane)
        if self._refuses or pane.state == "cancelled":
            raise StreamCancelledError(f"{pane.title!r} was cancelled on its board", partial="")
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._followed[pane] = following = _Following(task, task.cancelling())
        self._none_followed.clear()
        pane.send(self._now())
        hears = on_pause.set(functools.partial(self._pausing, pane))
        state: State = "cancelled"
        message = ""
        try:
            yield
            state = "done"
        except Exception as error:
            state, message = "failed", _said(error)
            raise
        except asyncio.CancelledError:
            if following.asked:
                following.asked = False
                if task.uncancel() <= following.cancelling:
                    text = f"{pane.title!r} was cancelled on its board"
                    raise StreamCancelledError(text, partial=pane.text) from None
            raise
        finally:
            on_pause.reset(hears)
            if following.asked:  # too late, or the stream took no notice
                task.uncancel()
            del self._followed[pane]
            if not self._followed:
                self._none_followed.set()
            pane.finish(state, self._now(), message)

    @contextlib.contextmanager
    def _pausing(self, pane: Pane, error: Exception) -> Iterator[None]:
        """Whoever makes the stream's attempts waits before the next."""
        pane.finish("failed", self._now(), _said(error))
        pane.move("retrying")
        yield
        pane.send(self._now())

    def _cancel(self, pane: Pane) -> None:
        following = self._followed.get(pane)
        if following is None:
            if pane.state in ("queued", "retrying"):
                pane.finish("cancelled", self._now())
        elif not following.asked:
            following.asked = True
            following.task.cancel()

    def _now(self) -> float:
        if self._loop is None or self._ended is not None:
            return self._ended or 0.0
        return self._loop.time() - self._opened

    # -- the view -------------------------------------------------------------------------------------

    @functools.cached_property
    def _view(self) -> View:
        hear = weakref.WeakMethod(self._hear)  # or the widget, which lives on, would keep the board
        view = choose(self._panes, lambda message: (heard := hear()) and heard(message))
        weakref.finalize(self, view.close).atexit = False
        return view

    def _show(self) -> None:
        self._shown = True
        self._view.show()

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_FRAME, self._tick)
        self._view.tick(self._now())

    def _hear(self, message: Any) -> None:
        """A page says something, on any thread."""
        if self._loop is not None and self._ended is None:
            self._loop.call_soon_threadsafe(self._heed, message)
        else:
            self._heed(message)
            self._view.tick(self._now())

    def _heed(self, message: Any) -> None:
        match message:
            case {"cancel": None}:
                self.cancel()
            case {"cancel": int(index)} if 0 <= index < len(self._panes):
                self._cancel(self._panes[index])
            case {"want": None | list() as indices}:
                self._view.want(indices)


def _said(error: Exception) -> str:
    """What an error says, fit to be stored with a notebook."""
    return Redactor().text(f"{type(error).__name__}: {error}")

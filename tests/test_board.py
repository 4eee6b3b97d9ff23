"""The board itself, in virtual time; what stays of it; the terminal's table.

What a page is told: tests/test_board_frames.py.  Real kernels: tests/test_board_kernel.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import sys
from collections.abc import AsyncIterator, Coroutine
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any, cast

import pytest
import zmq
from jupyter_client.session import Session
from tornado.queues import Queue

import workbench as wb
from workbench.errors import ServerError, StreamCancelledError
from workbench.events import Event, Finished, Started, TextDelta
from workbench.messages import Usage
from workbench.widgets.frozen import html, table
from workbench.widgets.page import BoardPage
from workbench.widgets.pane import Pane
from workbench.widgets.views import Terminal, choose

QUESTIONS = [f"{number}: what does jitter do?" for number in range(6)]


async def say(text: str, gap: float = 1.0, closed: list[str] | None = None) -> AsyncIterator[Event]:
    """A stream that says `text` letter by letter, and tells when it is closed."""
    try:
        yield Started(id="x", model="m")
        for letter in text:
            await asyncio.sleep(gap)
            yield TextDelta(text=letter)
        yield Finished(stop_reason="stop", usage=Usage(output_tokens=len(text)))
    finally:
        if closed is not None:
            closed.append(text)


def states(board: wb.StreamBoard) -> list[str]:
    return [pane.state for pane in board.panes]


def ask(question: str) -> wb.Request:
    message = wb.Message(role="user", content=question)
    return wb.Request(model="gpt-5.5", messages=(message,))


async def at(seconds: float, then: Any) -> None:
    await asyncio.sleep(seconds)
    then()


# -- following ----------------------------------------------------------------------------------------


def test_real_streams_through_fan_out() -> None:
    """Each pane has its provider's answer, and its times are those of the provider's own log."""
    simulator = wb.Simulator(seed=2)
    provider = wb.OpenAIProvider(simulator.openai())

    async def main() -> tuple[wb.FanOut[wb.Completion], wb.StreamBoard]:
        async with wb.StreamBoard(QUESTIONS) as board:
            answers = await wb.fan_out(
                lambda q: board.follow(provider.stream(ask(q)), q),
                QUESTIONS,
                limit=2,
            )
        return answers, board

    answers, board = wb.run(main)
    assert [pane.text for pane in board.panes] == [answer.text for answer in answers.values()]
    assert [pane.title for pane in board.panes] == QUESTIONS
    for pane, record in zip(board.panes, simulator.log, strict=True):
        assert pane.tokens == record.output_tokens
        assert record.first_token is not None
        assert pane.ttft == pytest.approx(record.first_token - record.arrival, abs=0.05)
        assert pane.ended == pytest.approx(record.ended, abs=0.05)
    assert states(board) == ["done"] * 6
    assert list(board.to_frame()["text"]) == [answer.text for answer in answers.values()]


def test_what_waits_is_queued() -> None:
    """Titles that are known in advance stand on the board before their streams begin, in that order."""

    async def main() -> list[list[str]]:
        seen = []
        async with wb.StreamBoard(["a", "b", "c"]) as board:
            look = asyncio.create_task(at(1.5, lambda: seen.append(states(board))))
            await wb.fan_out(lambda title: board.follow(say("xyz"), title), ["b", "a", "c"], limit=2)
            await board.follow(say(""), "new")
            await board.follow(say(""))
            await board.follow(say(""), "b")
            await look
        return [*seen, [pane.title for pane in board.panes]]

    assert wb.run(main) == [["running", "running", "queued"], ["a", "b", "c", "new", "stream 5", "b"]]


def test_equal_titles_have_places_of_their_own() -> None:
    """Two streams of the same title at the same time, announced or not, are two panes."""

    async def main() -> list[str]:
        async with wb.StreamBoard(["a", "a"]) as board:
            await asyncio.gather(*(board.follow(say(text), "a") for text in ("x", "y", "z")))
        return [pane.text for pane in board.panes]

    assert wb.run(main) == ["x", "y", "z"]


def test_an_attempt_that_waits_is_not_taken() -> None:
    """A stream that is already followed by its title keeps its place until it has ended."""

    async def main() -> list[str]:
        async with wb.StreamBoard(["q"]) as board:
            with pytest.raises(TypeError):
                await board.follow(cast(Any, never()), "q")
            await asyncio.gather(board.follow(late("second"), "q"), board.follow(late("another"), "q"))
        return [pane.text for pane in board.panes]

    async def never() -> AsyncIterator[None]:
        yield None

    async def late(text: str) -> AsyncIterator[Event]:
        await asyncio.sleep(1)
        async for event in say(text):
            yield event

    assert wb.run(main) == ["second", "another"]


def test_a_failed_stream_and_its_next_attempt() -> None:
    """An error is raised and shown; the same title again is the next attempt, in the same place."""

    async def overloaded() -> AsyncIterator[Event]:
        await asyncio.sleep(1)
        raise ServerError("try later", provider="openai", status=503)
        yield

    async def main() -> wb.StreamBoard:
        async with wb.StreamBoard() as board:
            for pause in (0, 5):
                with pytest.raises(ServerError):
                    await board.follow(overloaded(), "q")
                assert (states(board), board.panes[0].error) == (
                    ["failed"],
                    "ServerError: openai 503: try later",
                )
                board.retrying("q")
                assert states(board) == ["retrying"]
                await asyncio.sleep(pause)
            await board.follow(say("ok"), "q")
            with pytest.raises(ServerError):
                await board.follow(overloaded(), "given up")
            board.retrying("given up")
            board.retrying("never heard of")
        return board

    board = wb.run(main)
    assert states(board) == ["done", "failed"]
    assert (board.panes[0].attempts, board.panes[0].text, board.panes[0].started) == (3, "ok", 7.0)


@pytest.mark.parametrize("cancelled", [False, True])
def test_retries_are_shown(cancelled: bool) -> None:
    """While a policy waits before its next attempt, the pane says so and why, and can be cancelled."""
    simulator = wb.Simulator(seed=2, faults=wb.Faults(outages=(wb.Outage(start=0, end=2),)))
    steady = wb.Resilient(retry=wb.RetryPolicy(attempts=9)).provider(wb.OpenAIProvider(simulator.openai()))
    seen = set()

    async def main() -> wb.StreamBoard:
        async with wb.StreamBoard() as board:

            def look() -> None:
                (pane,) = board.panes
                seen.add((pane.state, pane.error.partition(":")[0]))
                if cancelled and pane.state == "retrying":
                    board.cancel("q")

            looks = [asyncio.create_task(at(step / 100, look)) for step in range(1, 300)]
            with contextlib.suppress(StreamCancelledError):
                await board.follow(steady.stream(ask("why?")), "q")
            await asyncio.gather(*looks)
        return board

    board = wb.run(main)
    assert ("retrying", "OverloadedError") in seen
    assert states(board) == ["cancelled" if cancelled else "done"]
    assert board.panes[0].attempts == len(simulator.log)
    assert (len(simulator.log) == 1) == cancelled


def test_a_stream_without_its_end_has_failed() -> None:
    """An iterator that stops before its answer is whole is no success."""

    async def half() -> AsyncIterator[Event]:
        yield Started(id="x", model="m")
        yield TextDelta(text="ha")

    async def main() -> wb.StreamBoard:
        async with wb.StreamBoard() as board:
            with pytest.raises(ValueError, match="has not finished"):
                await board.follow(half())
        return board

    board = wb.run(main)
    assert (states(board), board.panes[0].text) == (["failed"], "ha")


def test_no_key_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in an error's message, in a known form or from the environment, stays off the board."""
    keys = "sk-" + "a1B2" * 8, "of no known form"
    monkeypatch.setenv("SOME_API_KEY", keys[1])

    async def refused() -> AsyncIterator[Event]:
        raise LookupError(f"wrong key {keys}")
        yield

    async def main() -> str:
        async with wb.StreamBoard() as board:
            with pytest.raises(LookupError):
                await board.follow(refused())
        return html(board.panes, 1.0) + table(board.panes, 1.0)

    text = wb.run(main)
    assert "LookupError: wrong key" in text
    assert not any(key in text for key in keys)


@pytest.mark.parametrize("wrong", ["text", [1], None], ids=repr)
def test_what_is_no_stream(wrong: Any) -> None:
    """What is no async iterator is refused, with what would be one."""

    async def main() -> None:
        async with wb.StreamBoard() as board:
            await board.follow(wrong)

    with pytest.raises(TypeError, match=r"such as provider\.stream\(request\), got"):
        wb.run(main)


def test_a_stream_of_something_else_is_closed() -> None:
    """A stream whose items are no events is refused, and closed."""
    closed: list[str] = []

    async def words() -> AsyncIterator[Any]:
        try:
            yield "word"
        finally:
            closed.append("word")

    async def main() -> None:
        stream = words()
        async with wb.StreamBoard() as board:
            with pytest.raises(TypeError, match="a board follows events"):
                await board.follow(stream)
            assert closed == ["word"]

    wb.run(main)


def test_a_board_is_open_once() -> None:
    """Outside its block a board follows nothing, and the block cannot be entered again."""

    async def main() -> None:
        board = wb.StreamBoard()
        with pytest.raises(RuntimeError, match="this board is not open"):
            await board.follow(say("x"))
        async with board:
            pass
        with pytest.raises(RuntimeError, match="this board is not open"):
            await board.follow(say("x"))
        with pytest.raises(RuntimeError, match="opened once"):
            async with board:
                pass

    wb.run(main)
    with pytest.raises(TypeError, match=r"put the one in a list: \['q'\]"):
        wb.StreamBoard("q")


# -- cancelling ---------------------------------------------------------------------------------------


def test_one_is_cancelled() -> None:
    """The others go on; its caller gets an error that keeps what had come, and its stream is closed."""
    closed: list[str] = []

    async def main() -> tuple[wb.FanOut[Any], float]:
        async with wb.StreamBoard() as board:
            stop = asyncio.create_task(at(2.5, lambda: board.cancel("bbbb")))
            texts = ["aaaa", "bbbb", "cccc"]
            results = await wb.fan_out(
                lambda text: board.follow(say(text, closed=closed), text), texts, limit=3, on_error="return"
            )
            await stop
        assert states(board) == ["done", "cancelled", "done"]
        return results, wb.now()

    results, ended = wb.run(main)
    assert ended == 4.0
    assert closed == ["bbbb", "aaaa", "cccc"]
    error = results.errors()[1]
    assert isinstance(error, StreamCancelledError)
    assert (str(error), error.partial) == ("'bbbb' was cancelled on its board", "bb")


def test_all_are_cancelled() -> None:
    """Also those that wait, and those that nobody has announced: no further stream begins."""
    closed: list[str] = []

    async def main() -> wb.StreamBoard:
        async with wb.StreamBoard(["a" * 9, "b" * 9, "c" * 9]) as board:
            stop = asyncio.create_task(at(2.5, board.cancel))
            texts = ["a" * 9, "b" * 9, "c" * 9, "d" * 9]
            results = await wb.fan_out(
                lambda text: board.follow(say(text, closed=closed), text), texts, limit=2, on_error="return"
            )
            await stop
            assert wb.now() == 2.5
            assert [type(error) for error in results.errors().values()] == [StreamCancelledError] * 4
        return board

    board = wb.run(main)
    assert states(board) == ["cancelled"] * 4
    assert [pane.text for pane in board.panes] == ["aa", "bb", "", ""]
    assert closed == ["a" * 9, "b" * 9]  # the others never began


def test_a_waiting_stream_is_cancelled() -> None:
    """A stream that is cancelled before it begins never does."""
    closed: list[str] = []

    async def main() -> list[str]:
        async with wb.StreamBoard(["q"]) as board:
            board.cancel("q")
            with pytest.raises(StreamCancelledError):
                await board.follow(say("x", closed=closed), "q")
        return states(board)

    assert wb.run(main) == ["cancelled"]
    assert closed == []


def test_a_task_that_goes_on_after_its_stream_was_cancelled() -> None:
    """The cancellation is the stream's alone: its task can await, and be cancelled, as before."""

    async def main() -> None:
        async with wb.StreamBoard() as board:
            stop = asyncio.create_task(at(1.5, lambda: board.cancel("a")))
            with pytest.raises(StreamCancelledError):
                await board.follow(say("xxx"), "a")
            await stop
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            async with asyncio.timeout(1):
                await asyncio.sleep(0.5)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await board.follow(say("xxx"), "b")
        assert states(board) == ["cancelled", "cancelled"]

    wb.run(main)


def test_a_stream_that_takes_no_notice() -> None:
    """A stream that swallows its cancellation ends as it does, and its task is not cancelled later."""

    async def stubborn() -> AsyncIterator[Event]:
        yield Started(id="x", model="m")
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            yield TextDelta(text="no")
        yield Finished(stop_reason="stop")

    async def main() -> str:
        async with wb.StreamBoard() as board:
            stop = asyncio.create_task(at(1, board.cancel))
            answer = await board.follow(stubborn())
            await stop
            await asyncio.sleep(1)
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
        return answer.text

    assert wb.run(main) == "no"


@pytest.mark.parametrize("twice", [False, True])
def test_cancelled_from_outside(twice: bool) -> None:
    """A cancelled task is cancelled, also when its stream was stopped in the same instant."""

    async def main() -> None:
        async with wb.StreamBoard() as board:
            task = asyncio.create_task(board.follow(say("xxx")))
            await asyncio.sleep(1.5)
            if twice:
                board.cancel()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert states(board) == ["cancelled"]

    wb.run(main)


@pytest.mark.parametrize("way", ["error", "end"])
def test_no_stream_outlives_its_board(way: str) -> None:
    """Whatever ends the block, streams that still run are cancelled and closed before it is over."""
    closed: list[str] = []

    async def slow(text: str) -> AsyncIterator[Event]:
        try:
            async for event in say(text):
                yield event
        finally:
            await asyncio.sleep(3)  # a close that takes its time
            closed.append(text)

    async def block(board: wb.StreamBoard, tasks: list[asyncio.Task[Any]]) -> None:
        async with board:
            tasks += [asyncio.create_task(board.follow(slow(text), text)) for text in ("aaa", "bbb")]
            await asyncio.sleep(1.5)
            if way == "error":
                raise LookupError

    async def main() -> None:
        board = wb.StreamBoard(["never sent"])
        tasks: list[asyncio.Task[Any]] = []
        if way == "error":
            with pytest.raises(LookupError):
                await block(board, tasks)
        else:
            await block(board, tasks)
        assert (wb.now(), closed) == (4.5, ["aaa", "bbb"])
        assert states(board) == ["queued", "cancelled", "cancelled"]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [StreamCancelledError] * 2

    wb.run(main)


# -- what stays ---------------------------------------------------------------------------------------

NASTY = "\n<b>&amp;\r\n</pre> → 😀"


class Read(HTMLParser):
    """The text of each element that a tag opens."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[int] = []  # indices of `texts`
        self.texts: list[tuple[str, str]] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        if tag != "br":
            self.open.append(len(self.texts))
            self.texts.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.texts[self.open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            tag, text = self.texts[self.open[-1]]
            self.texts[self.open[-1]] = (tag, text + data)


def panes() -> list[Pane]:
    done, failed = Pane("a < b"), Pane("long " * 50)
    for pane in (done, failed):
        pane.send(0.0)
    done.take(TextDelta(text=NASTY), 0.25)
    done.take(TextDelta(text="!"), 0.75)
    done.finish("done", 1.0)
    failed.finish("failed", 2.0, "ServerError: <503>")
    return [done, failed, Pane("waits")]


def test_the_frozen_text() -> None:
    """In plain text a board is an aligned table, with what went wrong."""
    assert table(panes(), 2.0).splitlines() == [
        "3 streams: 1 queued, 1 done, 1 failed; 2 tokens in 2.0 s",
        "state     tokens  TTFT s  tokens/s  stream",
        "✓ done         2    0.25       2.0  a < b",
        "✗ failed       0                    long long long long long long long long long long long long…"
        "  ServerError: <503>",
        "· queued       0                    waits",
    ]
    assert table([], 0.0).splitlines()[0] == "0 streams: none; 0 tokens in 0.0 s"


def test_the_frozen_page() -> None:
    """It is well formed, keeps every character, and says all without scripts and without its style."""
    page = Read(re.sub("<style>.*?</style>", "", html(panes(), 2.0), flags=re.DOTALL))
    assert "\r" not in html(panes(), 2.0)  # a browser takes it for a line feed
    assert page.open == []
    assert {tag for tag, _ in page.texts}.isdisjoint({"script", "style", "link", "img", "button"})
    assert page.attributes <= {"class", "style", "align", "open"}
    (answer,) = [text for tag, text in page.texts if tag == "pre"]
    assert answer == "\n" + NASTY + "!"  # a browser drops the first line feed of a <pre>
    words = " ".join(text for _, text in page.texts).replace("\xa0", " ")
    assert all(
        word in words for word in ("a < b", "✓ done", "✗ failed", "ServerError: <503>", "0.25", "· queued")
    )
    assert "open" in Read(html(panes()[:1], 2.0)).attributes  # a single answer is there to be read


def frozen_run() -> str:
    simulator = wb.Simulator(seed=4)
    provider = wb.OpenAIProvider(simulator.openai())

    async def main() -> str:
        async with wb.StreamBoard(QUESTIONS) as board:
            await wb.fan_out(lambda q: board.follow(provider.stream(ask(q)), q), QUESTIONS, limit=4)
        return html(board.panes, board._now()) + table(board.panes, board._now())

    return wb.run(main)


def test_the_same_seed_gives_the_same_bytes() -> None:
    """What is stored of a run in virtual time is the same in every run."""
    assert frozen_run() == frozen_run()


# -- its widget ---------------------------------------------------------------------------------------


def test_a_page_is_heard_where_messages_wait_for_the_end_of_the_cell() -> None:
    """Of an older kernel's queue the widget takes its own page's messages; all others keep their order."""
    heard: list[Any] = []
    page = BoardPage(heard.append)
    session, queue = Session(key=b"k"), Queue[Any]()
    page.comm.kernel = SimpleNamespace(session=session, msg_queue=queue)
    mine, other = page.comm.comm_id, "other"
    custom = {"method": "custom", "content": {"cancel": None}}
    said = [
        ("execute_request", {"code": "1"}),
        ("comm_msg", {"comm_id": mine, "data": custom}),
        ("comm_msg", {"comm_id": other, "data": custom}),
        ("comm_msg", {"comm_id": mine, "data": {"method": "update", "state": {}}}),
        ("comm_msg", {"comm_id": mine, "data": custom}),
    ]
    for number, (kind, content) in enumerate(said):
        sent = session.serialize(session.msg(kind, content), ident=b"page")
        queue.put_nowait((number, print, ([zmq.Frame(frame) for frame in sent],)))
    queue.put_nowait((5, print, ()))  # no message
    queue.put_nowait((6, print, ([zmq.Frame(b"<IDS|MSG>"), *map(zmq.Frame, [b""] * 5)],)))  # not signed
    for _ in range(2):
        page.listen()
        assert heard == [custom["content"]] * 2
        assert [entry[0] for entry in queue._queue] == [0, 2, 3, 5, 6]
    _, frames = session.feed_identities(queue.get_nowait()[2][0], copy=False)
    assert session.deserialize(frames, copy=False)["content"] == {"code": "1"}  # it can still be read, once


# -- where it is shown --------------------------------------------------------------------------------


class Tty(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """In a plain program whose standard error is no terminal, a board prints nothing."""
    frozen_run()
    assert capsys.readouterr() == ("", "")


def test_in_virtual_time_a_terminal_gets_the_final_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn before the end."""
    monkeypatch.setattr(sys, "stderr", screen := Tty())
    monkeypatch.setenv("COLUMNS", "100")
    frozen_run()
    assert screen.getvalue().count("6 streams: 6 done") == 1
    assert "0: what does jitter do?" in screen.getvalue()
    assert "\x1b[1A" not in screen.getvalue()  # no cursor goes up


def test_a_terminal_is_live_on_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table shows the end of each answer while it comes; the last one stays, without."""
    monkeypatch.setattr(sys, "stderr", screen := Tty())
    monkeypatch.setenv("COLUMNS", "100")
    pane = Pane("why?")
    view = choose([pane], lambda message: None)
    assert isinstance(view, Terminal)
    assert view.live
    pane.send(0.0)
    pane.take(TextDelta(text="because\nof [jitter]"), 0.5)
    for count in range(4):
        view.tick(0.5 + count / 10)
    assert screen.getvalue().count("because of [jitter]") == 2  # every second tick
    pane.finish("done", 1.0)
    view.end(1.0)
    assert "✓ done" in screen.getvalue().split("because")[-1]


def test_a_small_terminal_keeps_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long titles, errors and answers make room for the figures; what is higher than the screen goes, too."""
    monkeypatch.setattr(sys, "stderr", screen := Tty())
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "6")
    panes = [Pane(f"{number} {'title ' * 20}") for number in range(12)]
    view = choose(panes, lambda message: None)
    for pane in panes:
        pane.send(0.0)
        pane.take(TextDelta(text="because " * 30), 1.25)
    view.tick(2.0)
    for pane in panes:
        pane.finish("failed", 3.0, "ServerError: " + "long " * 50)
    before = len(screen.getvalue())
    view.end(3.0)
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()[before:])
    lines = [line for line in said.splitlines() if "failed  " in line]
    figures = [["✗", "failed", "1", "1.25", str(number)] for number in range(12)]
    assert [line.split()[:5] for line in lines] == figures
    assert all("…" in line and len(line) <= 60 for line in lines)
    assert "running" not in said


def live() -> Coroutine[Any, Any, wb.StreamBoard]:
    async def main() -> wb.StreamBoard:
        async with wb.StreamBoard(["q"]) as board:
            await board.follow(say("now", gap=0), "q")
        return board

    return main()


def test_on_the_wall_clock_nothing_ticks_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live board works on a plain event loop, and leaves neither a timer nor a thread behind."""
    monkeypatch.setattr(sys, "stderr", Tty())

    async def main() -> None:
        board = await live()
        assert states(board) == ["done"]
        assert board._timer is not None
        assert board._timer.cancelled()
        assert len(asyncio.all_tasks()) == 1

    wb.run(main, virtual=False)

"""Progress: seldom enough to cost nothing, and true at the end.  Where it appears: tests/test_fanout.py."""

from __future__ import annotations

import asyncio
import io
import itertools
import re
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from workbench import progress as module
from workbench.clock import DeadlockError, now, run
from workbench.fanout import fan_out
from workbench.progress import Progress


class Screen:
    """A view that keeps what it was shown, and when."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str, bool]] = []

    def show(self, progress: Progress, *, final: bool) -> None:
        self.shown.append((now(), re.sub(r", [\d.]+ s$", "", progress.text()), final))


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A view that is looked at in virtual time, too."""
    view = Screen()
    monkeypatch.setattr(module, "_view", lambda: view)
    monkeypatch.setattr(module, "virtual_loop", lambda: None)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=now))
    return view


async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    if seconds == 0.003:
        raise LookupError
    return seconds


def test_ten_refreshes_a_second_at_most(screen: Screen) -> None:
    """However fast the calls are, the view changes ten times a second, and once more at the end."""
    run(lambda: fan_out(wait, [0.001] * 3000, limit=3, progress=True))
    times = [at for at, _, _ in screen.shown]
    assert len(times) == 11
    assert all(later - earlier > 0.099 for earlier, later in itertools.pairwise(times[:-1]))
    assert screen.shown[-1][1:] == ("3000/3000 done", True)
    assert [final for _, _, final in screen.shown].count(True) == 1


def test_slow_calls_are_seen_at_work(screen: Screen) -> None:
    """Calls that have begun are shown at once, and the time goes on while nothing else does."""
    run(lambda: fan_out(wait, [30.0] * 4, limit=3, progress=True))
    assert screen.shown[0][0] == pytest.approx(0.1)
    assert screen.shown[0][1] == "0/4 done, 3 in flight"
    assert 55 <= len(screen.shown) <= 65


def test_nothing_ticks_afterwards(screen: Screen) -> None:
    """When the fan-out is over, its progress leaves no timer behind."""

    async def main() -> None:
        await fan_out(wait, [1.0], limit=1, progress=True)
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError, match="no timer is set"):
        run(main)


@pytest.mark.parametrize(
    ("on_error", "text"),
    [
        pytest.param("return", "3/3 done, 1 failed", id="kept"),
        pytest.param("raise", "3/3 done, 1 failed, 1 cancelled", id="raised"),
    ],
)
def test_the_final_state_tells_what_became_of_each(screen: Screen, on_error: str, text: str) -> None:
    """A call that failed, or was cancelled because another failed, is not shown as one that succeeded."""

    async def main() -> None:
        items = [0.001, 0.003, 5.0]
        await fan_out(wait, items, limit=3, progress=True, on_error=on_error)  # type: ignore[arg-type]  # a literal

    if on_error == "raise":
        with pytest.raises(LookupError):
            run(main)
    else:
        run(main)
    assert screen.shown[-1][1:] == (text, True)


def test_an_unknown_total(screen: Screen) -> None:
    """Where nobody knows how many there are, what has ended is counted."""
    run(lambda: fan_out(wait, iter([1.0, 1.0]), limit=1, progress=True))
    assert screen.shown[-1][1] == "2 done"


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def halfway(total: int | None, started: int) -> Progress:
    progress = Progress(total)
    for index in range(started):
        progress.start(index)
    for index, state in enumerate(("done", "failed", "cancelled")[:started]):
        progress.finish(index, state)  # type: ignore[arg-type]  # a tuple of literals
    return progress


def test_the_page_is_for_every_theme_and_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours are the theme's, no state is told by colour alone, and a screen reader gets a progress bar."""
    monkeypatch.setattr(module, "_view", lambda: None)
    page = Page(module._page(halfway(6, 5)))
    (_, bar), *_ = page.tags
    assert bar["role"] == "progressbar"
    assert (bar["aria-valuenow"], bar["aria-valuemax"]) == ("3", "6")
    assert str(bar["aria-valuetext"]).startswith("3/6 done, 2 in flight, 1 failed, 1 cancelled")
    cells = [attributes for tag, attributes in page.tags if tag == "span"]
    assert [cell["title"] for cell in cells] == [
        "0: done",
        "1: failed",
        "2: cancelled",
        "3: running",
        "4: running",
        "5: queued",
    ]
    assert all(re.fullmatch(r"color:var\(--jp-[\w-]+, #[0-9a-f]{6}\)", str(c["style"])) for c in cells)
    assert "".join(page.words[1:]) == "✓✗–▶▶·"
    assert any(attributes.get("aria-hidden") == "true" for _, attributes in page.tags)


@pytest.mark.parametrize("total", [None, 5000])
def test_a_page_stays_small(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    """Of thousands of items the first 200 are shown one by one, and how many more there are."""
    monkeypatch.setattr(module, "_view", lambda: None)
    text = module._page(halfway(total, 5000))
    assert text.count("<span") == 200
    assert "… 4800 more" in text


def test_no_view_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or no standard error at all is no terminal."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert module._view() is None
    monkeypatch.setattr(sys, "stderr", None)
    assert module._view() is None

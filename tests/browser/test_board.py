"""The live board in a browser: its JavaScript alone against Python, and whole boards in JupyterLab."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import BrowserContext, Locator, Page, expect

import workbench
from tests import board_page
from tests.browser.lab import Lab
from workbench.events import TextDelta
from workbench.progress import LOOKS
from workbench.widgets.frames import Frames, Packer
from workbench.widgets.pane import Pane

SOURCE = (Path(workbench.__file__).parent / "widgets" / "board.js").read_bytes()
MODULE = f"data:text/javascript;base64,{base64.b64encode(SOURCE).decode()}"

# -- the JavaScript alone -----------------------------------------------------------------------------

APPLY = """async ([module, runs]) => {
  const { Streams } = await import(module);
  return runs.map(frames => {
    const streams = new Streams();
    const lacking = frames.map(frame => [...streams.apply(frame)].sort());
    return [lacking, streams.panes.map(pane => pane?.text ?? null)];
  });
}"""
MAKE = """async ([module, looks]) => {
  const { default: make } = await import(module);
  const { initialize, render } = make();
  window.said = [];
  const model = {
    get: () => looks,
    send: message => window.said.push(message),
    on: (_, heard) => {
      window.hear = ([place, packed]) => heard({ place }, [Uint8Array.from(packed)]);
    },
  };
  initialize({ model });
  window.show = () => {
    const el = document.createElement('div');
    document.body.append(el);
    render({ model, el });
  };
}"""


@pytest.fixture
def blank(browser: BrowserContext) -> Iterator[Page]:
    assert browser.browser
    with browser.browser.new_context() as context:  # its clock is for all of a context's pages
        page = context.new_page()
        page.clock.install(time=0)
        yield page


def tell(page: Page, frame: dict[str, Any]) -> None:
    """Send a frame, packed in a run of its own."""
    place, packed = Packer().pack(frame)
    page.evaluate("packed => hear(packed)", [place, list(packed)])


def broken_run(seed: int) -> tuple[list[Any], list[Pane], board_page.Page, list[list[int]]]:
    """Random streams, of whose frames some are lost; the last one is the answer to "all"."""
    rng = random.Random(seed)
    panes = [Pane(f"pane {number}") for number in range(rng.randint(1, 5))]
    frames, page = Frames(panes), board_page.Page()
    told, lacking = [], []
    for step in range(40):
        pane = rng.choice(panes)
        if pane.state in ("queued", "failed"):
            pane.send(step)
        elif rng.random() < 0.1:
            pane.finish("failed", step)
        else:
            pane.take(TextDelta(text=rng.choice(["a", "bc ", "\n", "→", "😀😀"])), step)
        if step == 39:
            frames.want()
        frame = frames.next()
        if frame and step % 4 == 3:
            frame["sum"] = frames.sum()
        if frame and (rng.random() < 0.6 or step == 39):
            told.append(frame)
            lacking.append(sorted(page.apply(frame)))
    return told, panes, page, lacking


def test_the_page_takes_frames_in_as_python_says(blank: Page) -> None:
    """Whatever is lost, the page knows what it lacks, and after its question it shows what there is."""
    runs = [broken_run(seed) for seed in range(100)]
    answers = blank.evaluate(APPLY, [MODULE, [told for told, _, _, _ in runs]])
    assert any(wanted for _, _, _, lacking in runs for wanted in lacking)
    for (lacking, texts), (_, panes, _, wanted) in zip(answers, runs, strict=True):
        assert lacking == wanted
        assert lacking[-1] == []
        assert texts == [pane.text for pane in panes]


UNPACK = """async ([module, sent]) => {
  const { Unpacker } = await import(module);
  const unpacker = new Unpacker();
  const frames = [];
  for (const [place, packed] of sent) {
    frames.push(await unpacker.unpack(place, Uint8Array.from(packed)) ?? null);
  }
  return frames;
}"""


def test_the_page_reads_what_is_packed(blank: Page) -> None:
    """Frames come out as they went in; after a lost one it reads none until the next run."""
    packer = Packer()
    frames = [{"text": [[0, 7 * number, f"wörd 😀{number}"]]} for number in range(50)]
    sent = [(place, list(packed)) for place, packed in map(packer.pack, frames)]
    assert blank.evaluate(UNPACK, [MODULE, sent]) == frames
    lossy = [each for number, each in enumerate(sent) if number not in (0, 23)]
    read = [None] * 19 + frames[20:23] + [None] * 16 + frames[40:]
    assert blank.evaluate(UNPACK, [MODULE, lossy]) == read


def test_the_page_asks_again_but_ever_more_seldom(blank: Page) -> None:
    """A page that comes when all is over says so; one that lacks something asks until it has it."""
    looks = {state: list(look) for state, look in LOOKS.items()}
    blank.evaluate(MAKE, [MODULE, looks])
    blank.clock.run_for(1000)
    assert blank.evaluate("() => said") == [{"want": None}]
    blank.evaluate(MAKE, [MODULE, looks])
    gap = {"text": [[0, 5, "x"]]}
    for _ in range(80):
        tell(blank, gap)
        blank.clock.run_for(100)
    assert blank.evaluate("() => said") == [{"want": [0]}] * 5  # at 0, 0.5, 1.5, 3.5 and 7.5 s
    whole = {"panes": [[0, "why?", None]], "marks": [[0, "running", 0, None, 6, 1, None, ""]]}
    tell(blank, {**whole, "text": [[0, 0, "012345"]]})
    tell(blank, {"text": [[0, 7, "x"]]})
    assert blank.evaluate("() => said.length") == 6  # a new gap is asked for at once


def test_a_page_draws_in_frames_and_announces_ends(blank: Page) -> None:
    """Text is there after one animation frame; a screen reader hears of each end, once for all views."""
    blank.evaluate(MAKE, [MODULE, {state: list(look) for state, look in LOOKS.items()}])
    blank.evaluate("() => { show(); show(); }")
    marks = [[index, "running", 0, 0.25, 2, 1, None, ""] for index in (1, 0)]
    panes = [[1, "second <b>", 10], [0, "first", None]]
    text = [[0, 0, "ab"], [1, 0, "cd"]]
    frame = {"panes": panes, "marks": marks, "text": text, "summary": "two", "sum": [4, "00"]}
    tell(blank, frame)
    blank.clock.run_for(50)
    assert blank.locator(".wb-text").all_text_contents() == ["ab", "cd"] * 2
    assert blank.locator(".wb-title").all_text_contents() == ["first", "second <b>"] * 2
    assert blank.locator(".wb-summary").all_text_contents() == ["two"] * 2
    ended = [[0, "done", 0, 0.25, 2, 9, 30.2, ""], [1, "failed", 0, 0.25, 2, 4, None, "ServerError: x"]]
    tell(blank, {"marks": ended})
    blank.clock.run_for(50)
    said = blank.get_by_role("status").all_text_contents()
    assert said == ["first done, 9 tokens. second <b> failed, 4 tokens", ""]
    assert blank.locator(".wb-note").all_text_contents() == ["", "ServerError: x"] * 2
    assert not blank.get_by_role("button").count()


# -- whole boards in JupyterLab -----------------------------------------------------------------------

SETUP = """
%load_ext workbench
import asyncio, json
from pathlib import Path
import workbench as wb

QUESTIONS = [f"{number}: why does jitter help?" for number in range(8)]

async def run(name, limit=8, gap=0.01, board=None):
    model = wb.ModelProfile(name="m", provider="openai", ttft=wb.Latency(mean=0.2, cv=0.5),
                            itl=wb.Latency(mean=gap, cv=0.3))
    simulator = wb.Simulator(seed=3, models=[model])
    provider = wb.OpenAIProvider(simulator.openai())
    try:
        async with board or wb.StreamBoard(QUESTIONS) as board:
            results = await wb.fan_out(
                lambda q: board.follow(provider.stream(wb.Request(model="m", messages=q)), q, max_tokens=300),
                QUESTIONS, limit=limit, on_error="return",
            )
            Path(f"{name}.json").write_text(json.dumps([r.text if i not in results.errors() else r.partial
                                                         for i, r in enumerate(results)]))
            while not Path(f"{name}.go").exists():
                await asyncio.sleep(0.05)
    finally:
        Path(f"{name}.log").write_text(json.dumps(simulator.log.outcomes()))
"""
CELLS = {
    "setup": SETUP,
    "live": 'await run("live")',
    "views": 'board = wb.StreamBoard(QUESTIONS)\ndisplay(board)\nawait run("views", board=board)',
    "cancel": 'await run("cancel", limit=6, gap=0.03)',
    "stop": 'await run("stop", limit=6, gap=0.05)',
    "reload": 'await run("reload", gap=0.25)',
}
START = """index => {
  const { commands, shell } = window.jupyterapp;
  shell.currentWidget.content.activeCellIndex = index;
  window.ended = false;
  commands.execute('notebook:run-cell').finally(() => { window.ended = true; });
}"""
READY = """() => {
  const widget = window.jupyterapp?.shell?.currentWidget;
  return widget?.context?.isReady && widget.content.widgets.length > 5;
}"""


class Notebook:
    """The notebook of these tests, in one page."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder = page, folder

    def cell(self, name: str) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(list(CELLS).index(name))

    def start(self, name: str) -> Locator:
        self.page.evaluate(START, list(CELLS).index(name))
        return self.cell(name)

    def finish(self) -> None:
        self.page.wait_for_function("() => window.ended", timeout=30_000)

    def answers(self, name: str) -> list[str]:
        """What the streams of a run have answered, once all have ended."""
        return list(self.read(f"{name}.json"))

    def read(self, name: str) -> Any:
        deadline = time.monotonic() + 30
        while not (text := (self.folder / name).read_text() if (self.folder / name).exists() else ""):
            assert time.monotonic() < deadline, f"{name} did not come"
            self.page.wait_for_timeout(20)
        return json.loads(text)

    def go(self, name: str) -> None:
        """Let a run end."""
        (self.folder / f"{name}.go").touch()


@pytest.fixture(scope="module")
def notebook(lab: Lab) -> Iterator[Notebook]:
    made = new_notebook(cells=[new_code_cell(source.strip()) for source in CELLS.values()])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    (lab.server.folder / "board.ipynb").write_text(nbformat.writes(made))
    with lab.open_notebook("board.ipynb") as shown:
        notebook = Notebook(shown.page, lab.server.folder)
        notebook.start("setup")
        notebook.finish()
        yield notebook


def expect_texts(panes: Locator, texts: list[str]) -> None:
    """The very characters: Playwright's own comparison takes all white space for the same."""
    expect(panes).to_have_text(texts, timeout=5_000)
    assert panes.all_text_contents() == texts


def test_every_pane_is_right_live_and_frozen(notebook: Notebook) -> None:
    """Each pane shows its provider's answer, to the character, and the saved notebook keeps it."""
    cell = notebook.start("live")
    answers = notebook.answers("live")
    assert len(set(answers)) == 8
    expect_texts(cell.locator(".wb-text"), answers)
    expect(cell.locator(".wb-state")).to_have_text(["done"] * 8)
    expect(cell.locator(".wb-summary")).to_contain_text("8 streams: 8 done")
    notebook.go("live")
    notebook.finish()
    assert cell.locator("details pre").all_text_contents() == answers
    assert not cell.locator(".wb-board").count()
    notebook.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    stored = nbformat.read(notebook.folder / "board.ipynb", as_version=4).cells[1].outputs
    assert [sorted(output.data) for output in stored] == [["text/html", "text/plain"]]


def test_two_views_of_one_board(notebook: Notebook) -> None:
    """Both show the same, and both become plain HTML."""
    cell = notebook.start("views")
    answers = notebook.answers("views")
    expect_texts(cell.locator(".wb-text"), answers)
    notebook.go("views")
    notebook.finish()
    assert cell.locator("details pre").all_text_contents() == answers


def test_cancel_one_by_keyboard(notebook: Notebook) -> None:
    """A pane's button is reached and pressed without a mouse, and no key there is taken for Lab's own."""
    cell = notebook.start("cancel")
    log = cell.get_by_role("log", name="2: why does jitter help?")
    expect(log).to_contain_text("jitter keeps the clients")
    page = notebook.page
    cells = page.locator(".jp-Cell").count()
    cell.get_by_role("button", name="Cancel all").focus()
    for _ in range(6):  # the button and the text of each of the first three panes
        page.keyboard.press("Tab")
    expect(log).to_be_focused()
    page.keyboard.press("x")  # cuts the cell, in JupyterLab's command mode
    page.keyboard.press("Shift+Tab")
    expect(cell.get_by_role("button", name="Cancel 2: why does jitter help?")).to_be_focused()
    page.keyboard.press("Enter")
    expect(cell.locator(".wb-pane").nth(2)).to_have_attribute("data-state", "cancelled", timeout=1_000)
    expect(log).to_be_focused()  # its button is gone
    expect_texts(cell.locator(".wb-text"), notebook.answers("cancel"))
    states = ["cancelled" if index == 2 else "done" for index in range(8)]
    expect(cell.locator(".wb-state")).to_have_text(states)
    expect(cell.get_by_role("status")).to_contain_text(" done, ")
    notebook.go("cancel")
    notebook.finish()
    assert notebook.read("cancel.log") == {"ok": 7, "cancelled": 1}
    assert page.locator(".jp-Cell").count() == cells


def test_the_stop_button_ends_all_streams(notebook: Notebook) -> None:
    """The kernel's interrupt cancels every stream at once, at the provider too, and the board freezes."""
    cell = notebook.start("stop")
    expect(cell.locator(".wb-text").first).to_contain_text("jitter keeps")
    notebook.page.get_by_role("button", name="Interrupt the kernel").click()
    cell.locator("table").wait_for(timeout=2_000)
    notebook.finish()
    assert notebook.read("stop.log") == {"cancelled": 6}
    words = cell.locator("table").inner_text().replace("\xa0", " ")
    assert words.count("– cancelled") == 6
    assert words.count("· queued") == 2
    assert "CancelledError" in cell.inner_text()


CONTRASTS = """selector => {
  const parse = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const luminance = color => {
    const linear = c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [red, green, blue] = parse(color).map(c => linear(c / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  return [...document.querySelectorAll(selector)].filter(each => each.textContent).map(each => {
    const pane = each.closest('.wb-pane');
    const pair = [getComputedStyle(each).color, getComputedStyle(pane).backgroundColor].map(luminance);
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  });
}"""


def test_a_reload_in_the_middle_and_a_dark_theme(notebook: Notebook, tmp_path: Path) -> None:
    """A page that is loaded anew gets every character from the first on; the theme is the page's."""
    page = notebook.page
    cell = notebook.start("reload")
    expect(cell.locator(".wb-text").first).to_contain_text("jitter keeps")
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_function(READY)
    expect(cell.locator(".wb-text").first).to_contain_text("jitter keeps", timeout=20_000)
    early = cell.locator(".wb-text").all_text_contents()
    assert "running" in cell.locator(".wb-state").all_text_contents()
    cell.get_by_role("button", name="Cancel all").click()
    for theme in ("Light", "Dark"):
        change = "name => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })"
        page.evaluate(change, f"JupyterLab {theme}")
        expect(
            page.locator(f"body[data-jp-theme-light={'true' if theme == 'Light' else 'false'}]")
        ).to_be_attached()
        page.wait_for_timeout(100)  # the old style sheet goes
        page.screenshot(path=tmp_path / f"{theme}.png")
        contrasts = page.evaluate(CONTRASTS, ".wb-text, .wb-title, .wb-state, .wb-tokens")
        assert min(contrasts) > 4.5, theme
    answers = notebook.answers("reload")
    assert all(answer.startswith(text) for answer, text in zip(answers, early, strict=True))
    expect_texts(cell.locator(".wb-text"), answers)
    expect(cell.locator(".wb-pane[data-state=running]")).to_have_count(0)
    assert "cancelled" in cell.locator(".wb-state").all_text_contents()
    notebook.go("reload")

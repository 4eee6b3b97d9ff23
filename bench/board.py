"""The live board beside what one would write first: 32 streams of 500 tokens, 100 a second each.

Bytes and messages are what comes into the page (a WebSocket that counts), CPU is the kernel's.
"""

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import CDPSession, Page

from tests.browser.lab import Lab, browse, find_chromium, open_lab, serve

STREAMS, TOKENS, GAP = 32, 500, 0.01
LIMIT = 120.0  # seconds for one way

# Counts what each kind of message brings.  Both forms of Jupyter's protocol name it near the beginning.
COUNT = """(() => {
  const Socket = window.WebSocket, kinds = window.wire = {};
  window.WebSocket = class extends Socket {
    constructor(...options) {
      super(...options);
      this.addEventListener('message', ({ data }) => {
        const text = typeof data === 'string' ? data : new TextDecoder().decode(data.slice(0, 4000));
        const kind = text.match(/"msg_type": ?"(\\w+)"/)?.[1] ?? 'other';
        kinds[kind] ??= [0, 0];
        kinds[kind][0] += 1;
        kinds[kind][1] += typeof data === 'string' ? new TextEncoder().encode(data).length : data.byteLength;
      });
    }
  };
})()"""
RUN = """index => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  window.jupyterapp.commands.execute('notebook:run-cell');
}"""
SHOWN = "selector => [...document.querySelectorAll(selector)].map(each => each.textContent)"

SETUP = f"""
import asyncio, json, random, time
import ipywidgets
from IPython.display import HTML, DisplayHandle, display
import workbench as wb
from workbench.events import Finished, Started, TextDelta

WORDS = {{words}}

def pieces(number):
    rng = random.Random(number)
    return [f" {{{{rng.choice(WORDS)}}}}" for _ in range({TOKENS})]

async def answer(number):
    yield Started(id=str(number), model="m")
    start = time.perf_counter()
    for count, piece in enumerate(pieces(number)):
        await asyncio.sleep(max(0, start + count * {GAP} - time.perf_counter()))
        yield TextDelta(text=piece)
    yield Finished(stop_reason="stop")

async def each(show):
    async def one(number):
        async for event in answer(number):
            if event.type == "text":
                show(number, event.text)
    await asyncio.gather(*map(one, range({STREAMS})))

texts = [""] * {STREAMS}
def grown(number, piece):
    texts[number] += piece
    return f'<pre class="naive">{{{{texts[number]}}}}</pre>'
"""
WAYS = {  # what it is called: where its panes are, and its cell
    "no view": ("", "await each(lambda number, piece: None)"),
    "HTML.value for each token": (
        ".naive",
        """
panes = [ipywidgets.HTML() for _ in range(STREAMS)]
display(ipywidgets.VBox(panes))
def show(number, piece):
    panes[number].value = grown(number, piece)
await each(show)""",
    ),
    "Output + print": (
        ".naive",
        """
panes = [ipywidgets.Output() for _ in range(STREAMS)]
for pane in panes:
    pane.add_class("naive")
display(ipywidgets.VBox(panes))
def show(number, piece):
    with panes[number]:
        print(piece, end="")
await each(show)""",
    ),
    "display update": (
        ".naive",
        """
panes = [DisplayHandle() for _ in range(STREAMS)]
for pane in panes:
    pane.display(HTML('<pre class="naive"></pre>'))
def show(number, piece):
    panes[number].update(HTML(grown(number, piece)))
await each(show)""",
    ),
    "StreamBoard": (
        ".wb-text, details pre",
        """
async with wb.StreamBoard() as board:
    await asyncio.gather(*(board.follow(answer(number)) for number in range(STREAMS)))""",
    ),
}
MEASURED = """
started, cpu = time.perf_counter(), time.process_time()
{cell}
with open("measured.json", "w") as file:
    json.dump([time.perf_counter() - started, time.process_time() - cpu], file)"""


def notebook(cell: str, words: list[str]) -> str:
    setup = SETUP.format(words=words) + f"\nSTREAMS = {STREAMS}"
    cells = [new_code_cell(setup), new_code_cell(MEASURED.format(cell=cell))]
    made = new_notebook(cells=cells)
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    return nbformat.writes(made)


def expected(words: list[str]) -> list[str]:
    generators = map(random.Random, range(STREAMS))
    return ["".join(f" {rng.choice(words)}" for _ in range(TOKENS)) for rng in generators]


def settle(page: Page) -> dict[str, list[int]]:
    """Wait until nothing comes any more."""
    before: dict[str, list[int]] = {}
    while before != (now := page.evaluate("() => structuredClone(window.wire)")):
        before = now
        page.wait_for_timeout(1500)
    return before


def busy(devtools: CDPSession) -> float:
    """Seconds for which the page's main thread has worked so far."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(float(each["value"]) for each in metrics if each["name"] == "TaskDuration")


def measure(lab: Lab, name: str, words: list[str]) -> dict[str, Any]:
    selector, cell = WAYS[name]
    (lab.server.folder / "way.ipynb").write_text(notebook(cell, words))
    measured = lab.server.folder / "measured.json"
    measured.unlink(missing_ok=True)
    with lab.open_notebook("way.ipynb") as shown:
        page = shown.page
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.evaluate(RUN, 0)
        settle(page)
        page.evaluate("() => { for (const kind in window.wire) delete window.wire[kind]; }")
        before = busy(devtools)
        page.evaluate(RUN, 1)  # its end may be one of the messages that are lost
        for _ in range(int(LIMIT)):
            page.wait_for_timeout(1000)
            if measured.exists():
                break
        wire = settle(page)
        browser = busy(devtools) - before
        seconds, cpu = json.loads(measured.read_text())
        texts = page.evaluate(SHOWN, selector) if selector else []
        right = sum(has == wanted for has, wanted in zip(texts, expected(words), strict=False))
    saved = wire.get("update_display_data", [0, 0]) if name == "StreamBoard" else [0, 0]
    count, size = (sum(each[at] for each in wire.values()) for at in (0, 1))
    text = sum(len(each.encode()) for each in expected(words))
    return {
        "what": name,
        "messages": count - saved[0],
        "bytes": size - saved[1],
        "stored_bytes": saved[1],
        "text_bytes": text,
        "kernel_s": cpu,
        "seconds": seconds,
        "browser_s": browser,
        "right": right,
    }


HEAD = ("messages", "MB", "/ text", "stored MB", "kernel s", "browser s", "seconds", "panes right")


def cells(row: dict[str, Any]) -> list[str]:
    per_text = row["bytes"] / row["text_bytes"]
    sizes = [f"{row['bytes'] / 1e6:.2f}", f"{per_text:.2f}", f"{row['stored_bytes'] / 1e6:.2f}"]
    times = [f"{row[name]:.2f}" for name in ("kernel_s", "browser_s", "seconds")]
    return [str(row["messages"]), *sizes, *times, f"{row['right']} of {STREAMS}"]


def line(name: str, figures: Sequence[str]) -> str:
    return f"{name:28}" + "".join(f"{figure:>12}" for figure in figures)


def main() -> list[dict[str, Any]]:
    """Run each way in a notebook of its own, in one lab and one browser."""
    if not (chromium := find_chromium()):
        print("no Chromium found: nothing is measured")
        return []
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    words = sorted(word for word in set(readme.split()) if word.isalpha())
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder, private = Path(name) / "notebooks", Path(name) / "private"
        folder.mkdir()
        with serve(folder, private) as server, browse(chromium) as context:
            context.add_init_script(COUNT)
            print(line("", HEAD))
            with open_lab(server, context) as lab:
                for way in WAYS:
                    rows.append(measure(lab, way, words))
                    print(line(way, cells(rows[-1])))
    return rows


if __name__ == "__main__":
    main()

"""The breaker's lab in JupyterLab: what moves, what a slider does, how it looks, and what stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page, expect

from tests.browser.lab import Lab
from tests.browser.test_board import START

# Each drawing clears its canvas once: when, in milliseconds.
COUNT = """() => {
  window.drawn = [];
  const clear = CanvasRenderingContext2D.prototype.clearRect;
  CanvasRenderingContext2D.prototype.clearRect = function (...box) {
    window.drawn.push(performance.now());
    return clear.apply(this, box);
  };
}"""
BUSIEST_SECOND = """() => Math.max(...drawn.map(
  (begin, at) => drawn.slice(at).findIndex(each => each > begin + 1000)))"""
# How many different colours each chart has, from top to bottom: an empty one has one.
INKS = """canvas => [[20, 40], [90, 80], [202, 100]].map(([top, height]) => {
  const ratio = canvas.height / canvas.clientHeight;
  const pen = canvas.getContext('2d');
  const { data } = pen.getImageData(0, top * ratio, canvas.width, height * ratio);
  return new Set(new Uint32Array(data.buffer)).size;
})"""


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    cells = ["import workbench as wb", "lab = wb.BreakerLab(seed=5)\nawait lab.run(3600)"]
    made = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    (lab.server.folder / "breaker_lab.ipynb").write_text(nbformat.writes(made))
    with lab.open_notebook("breaker_lab.ipynb") as notebook:
        yield notebook.page


def test_a_lab_that_moves(page: Page, tmp_path: Path) -> None:
    """By keyboard a slider opens the breaker within the run; it moves at 10 fps or more, and then stays."""
    page.evaluate(COUNT)
    for cell in (0, 1):
        page.evaluate(START, cell)
    state, canvas = page.locator(".wb-lab-state"), page.locator(".wb-lab canvas")
    expect(state).to_have_text("closed", timeout=30_000)
    failures = page.get_by_role("slider", name="failure rate")
    expect(failures).to_have_attribute("aria-valuetext", "5 %")
    failures.focus()
    page.keyboard.press("x")  # cuts the cell, in JupyterLab's command mode
    page.keyboard.press("End")
    expect(failures).to_have_attribute("aria-valuetext", "100 %")
    expect(state).to_have_text("open", timeout=10_000)
    expect(page.locator(".wb-lab").get_by_role("status")).to_contain_text("open, failure rate reached")
    page.wait_for_function(f"() => ({BUSIEST_SECOND})() >= 10", timeout=20_000)
    assert min(canvas.evaluate(INKS)) > 5
    page.evaluate(
        "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    expect(page.locator("body[data-jp-theme-light=false]")).to_be_attached()
    failures.press("Home")
    page.get_by_role("combobox", name="policy").select_option("no policy")
    expect(state).to_have_text("no breaker", timeout=10_000)
    page.wait_for_timeout(300)
    page.screenshot(path=tmp_path / "dark.png")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_function("() => window.ended", timeout=30_000)
    expect(page.locator(".jp-RenderedImage img")).to_have_count(1)
    assert not page.locator(".wb-lab").count()
    page.evaluate(
        "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})"
    )

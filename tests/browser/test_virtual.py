"""`%%virtual` and the stop button, as a reader in JupyterLab meets them."""

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page

from tests.browser.lab import Lab

AT_ONCE = 5.0  # seconds from the stop button to the error in the page, for cells that wait a minute
LOAD = "%load_ext workbench\nimport asyncio"
VIRTUAL = """\
%%virtual
await asyncio.sleep(3600)
print("an hour has passed")
asyncio.get_running_loop().time()"""
FAILING = """\
%%virtual
async def fail():
    await asyncio.sleep(1)
    return 1 / 0

await fail()"""
WALL_CLOCK = """\
print("waiting")
await asyncio.sleep(60)"""
ENDLESS = """\
%%virtual
try:
    print("busy")
    while True:
        await asyncio.sleep(1)
finally:
    print("cleaned up")"""
LAST = """\
%%virtual
await asyncio.sleep(1)
"goes on\""""
CELLS = [LOAD, VIRTUAL, FAILING, WALL_CLOCK, ENDLESS, LAST]

# Run one cell; measure the seconds from the next press of the mouse until the cell shows an error.
_RUN = """index => {
  const { commands, shell } = window.jupyterapp;
  const notebook = shell.currentWidget.content;
  const area = notebook.widgets[index].node.querySelector('.jp-Cell-outputArea');
  const watch = start => {
    const watching = setInterval(() => {
      if (!area.innerText.includes('Traceback')) return;
      clearInterval(watching);
      window.seconds = (performance.now() - start) / 1000;
    }, 5);
  };
  window.seconds = undefined;
  window.ended = false;
  addEventListener('mousedown', () => watch(performance.now()), { capture: true, once: true });
  notebook.activeCellIndex = index;
  commands.execute('notebook:run-cell').finally(() => { window.ended = true; });
}"""


def interrupt(page: Page, source: str, printed: str) -> float:
    """Run a cell, press the stop button once it prints, and return the seconds to its error."""
    index = CELLS.index(source)
    page.evaluate(_RUN, index)
    cell = page.locator(".jp-Notebook .jp-Cell").nth(index)
    cell.locator(".jp-OutputArea-output", has_text=printed).wait_for(timeout=10_000)
    page.get_by_role("button", name="Interrupt the kernel").click()
    # Not before the kernel has answered: after an error it drops what is already in its queue.
    page.wait_for_function("() => window.ended && window.seconds !== undefined", timeout=90_000)
    seconds: float = page.evaluate("() => window.seconds")
    return seconds


def test_virtual_cells_and_the_stop_button(lab: Lab) -> None:
    """Run All stops at the failing line, and the stop button ends waiting and busy cells at once."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    (lab.server.folder / "virtual.ipynb").write_text(nbformat.writes(notebook))
    with lab.open_notebook("virtual.ipynb") as shown:
        assert not shown.run_all(timeout=60)
        _, virtual, failing, *later = shown.outputs()
        assert "an hour has passed" in virtual
        assert "3600.0" in virtual
        lines = [line for line in failing.splitlines() if line.startswith(("Cell", "File"))]
        assert lines == ["Cell In[3], line 6", "Cell In[3], line 4, in fail()"]
        assert not any(text.strip() for text in later)  # the cells after it did not run

        assert interrupt(shown.page, WALL_CLOCK, "waiting") < AT_ONCE
        assert interrupt(shown.page, ENDLESS, "busy") < AT_ONCE
        shown.page.evaluate(_RUN, CELLS.index(LAST))
        shown.page.get_by_text("'goes on'").last.wait_for(timeout=10_000)
        outputs = shown.outputs()
        assert "CancelledError" in outputs[3]
        assert "KeyboardInterrupt" in outputs[4]
        assert "cleaned up" in outputs[4]

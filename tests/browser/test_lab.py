"""The browser tests' own ground: JupyterLab starts, runs cells and shows what they print."""

import sys

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser.lab import Lab


def write_notebook(lab: Lab, name: str, *sources: str) -> str:
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    (lab.server.folder / name).write_text(nbformat.writes(notebook))
    return name


def test_run_all_shows_each_output_and_uses_this_python(lab: Lab) -> None:
    """Run All answers true, and the page shows what the cells printed, from this Python."""
    name = write_notebook(lab, "runs.ipynb", "import sys; print(sys.executable)", "6 * 7")
    with lab.open_notebook(name) as notebook:
        assert notebook.run_all(timeout=60)
        printed, value = notebook.outputs()
    assert sys.executable in printed
    assert "42" in value


def test_run_all_reports_a_failing_cell(lab: Lab) -> None:
    """Run All answers false when a cell fails, and the page names the error."""
    name = write_notebook(lab, "fails.ipynb", "1 / 0", "print('not reached')")
    with lab.open_notebook(name) as notebook:
        assert not notebook.run_all(timeout=60)
        assert "ZeroDivisionError" in "".join(notebook.outputs())

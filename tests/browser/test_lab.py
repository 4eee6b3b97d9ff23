"""The browser tests' own ground: JupyterLab starts, runs cells and shows what they print."""

import sys

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser.lab import Lab


def test_run_all_shows_each_output_up_to_an_error(lab: Lab) -> None:
    """The page shows what cells printed, from this Python; where one fails, Run All says so, and stops."""
    sources = "import sys; print(sys.executable)", "6 * 7", "1 / 0", "print('not reached')"
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    (lab.server.folder / "runs.ipynb").write_text(nbformat.writes(notebook))
    with lab.open_notebook("runs.ipynb") as shown:
        assert not shown.run_all(timeout=60)
        printed, value, error, nothing = shown.outputs()
    assert sys.executable in printed
    assert "42" in value
    assert "ZeroDivisionError" in error
    assert not nothing.strip()

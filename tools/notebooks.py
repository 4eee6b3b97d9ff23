"""Run and store notebooks, or check them: `python -m tools.notebooks [--check] [file ...]`.

Each notebook runs from top to bottom in a kernel of its own, in its own folder. What is stored is
the run and nothing of the moment: no timestamps, no version of Python, no widget state. Running a
deterministic notebook again gives the same bytes. `--check` runs nothing; it says what in a file
does not look like such a run.
"""

import argparse
import copy
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from traitlets.config import Config

from tools.secret_scan import find_secrets

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
CELL_TIMEOUT = 120.0
_NOT_OURS = {".ipynb_checkpoints", "practice"}  # a learner's own notebooks
MAY_FAIL = "raises-exception"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_MACHINE_PATH = re.compile(
    r"(?<![\w.])(/tmp/|/root/|/home/\w|/Users/\w|/private/var/|/var/folders/)|\b[A-Z]:\\Users\\"
    + f"|{re.escape(str(FOLDER.parent))}/"
)


def read(text: str) -> NotebookNode:
    """Parse a notebook of nbformat 4; cells without an id get one, the same in every run."""
    content = json.loads(text)
    if content.get("nbformat") != 4:
        raise ValueError(f"this is nbformat {content.get('nbformat')!r}; save it in JupyterLab")
    content["nbformat_minor"] = max(5, content["nbformat_minor"])  # 4.5 brought cell ids
    for index, cell in enumerate(content["cells"]):
        cell.setdefault("id", f"cell-{index}")
    notebook: NotebookNode = nbformat.reads(json.dumps(content), as_version=4)
    return notebook


def normalised(notebook: NotebookNode) -> str:
    """Return the text to store: the notebook without what changes from run to run."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.update(_METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)  # refers to state that is not stored
    text: str = nbformat.writes(notebook)
    return text.rstrip("\n") + "\n"


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in a fresh kernel; raise CellExecutionError where one fails and may not."""
    NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        config=Config(KernelManager={"transport_encryption": "auto"}),
    ).execute()


def problems(text: str) -> Iterator[str]:
    """Say what keeps a stored notebook from being one clean run, fit for every machine."""
    notebook = read(text)
    code = [each for each in notebook.cells if each.cell_type == "code" and each.source.strip()]
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(code) + 1)):
        yield f"execution counts are {counts}, not 1 to {len(code)}"
    for cell in code:
        here = f"cell [{cell.execution_count}]"
        for output in cell.outputs:
            if output.output_type == "error" and MAY_FAIL not in cell.metadata.get("tags", []):
                yield f"{here} stores a {output.ename} and is not tagged {MAY_FAIL!r}"
            if path := _MACHINE_PATH.search(_words(output)):
                yield f"{here} stores a path of this machine, {path.group()!r}"
    for line, kind in find_secrets(text):
        yield f"line {line} holds a secret: {kind}"
    if text != normalised(notebook):
        yield "it is not in the form that `make notebooks` stores"


def _words(output: NotebookNode) -> str:
    """Join all that an output says in text; images in base64 are left out."""
    spoken = [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    data = output.get("data", {}).items()
    spoken += [value for kind, value in data if kind not in ("image/png", "image/jpeg")]
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in spoken)


def _store(path: Path) -> list[str]:
    started = time.perf_counter()
    stored = path.read_text(encoding="utf-8")
    notebook = read(stored)
    try:
        execute(notebook, path.parent)
    except CellExecutionError as error:
        return [f"failed and was not stored\n{error}"]
    text = normalised(notebook)
    changed = text != stored
    if changed:
        path.write_text(text, encoding="utf-8")
    seconds = time.perf_counter() - started
    print(f"{path.name}: {'stored' if changed else 'unchanged'}, {seconds:.1f} s")
    return list(problems(text))


def _check(path: Path) -> list[str]:
    return list(problems(path.read_text(encoding="utf-8")))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run and store notebooks, or check them.")
    parser.add_argument("--check", action="store_true", help="run nothing, report what is wrong")
    parser.add_argument("files", nargs="*", type=Path, help="default: all notebooks")
    options = parser.parse_args(arguments)
    own = (path for path in FOLDER.rglob("*.ipynb") if not _NOT_OURS & set(path.relative_to(FOLDER).parts))
    files = options.files or sorted(own)
    act = _check if options.check else _store
    found = [f"{path.name}: {problem}" for path in files for problem in act(path)]
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

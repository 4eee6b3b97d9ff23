"""The notebooks show what they promise: tests/curriculum.toml is the promise."""

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
CURRICULUM = tomllib.loads((ROOT / "tests/curriculum.toml").read_text(encoding="utf-8"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def compared(cell: dict[str, Any]) -> bool:
    return not {"nbval-ignore-output", "nbval-skip"} & set(cell["metadata"].get("tags", []))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_claim_is_shown_by_one_compared_cell(path: Path) -> None:
    """Each promised claim stands in exactly one cell, whose printed output is compared."""
    cells = code_cells(path)
    found = Counter(claim for cell in cells for claim in cell["metadata"].get("claims", []))
    assert found == dict.fromkeys(CURRICULUM.get(path.stem, {}), 1)
    for cell in cells:
        if cell["metadata"].get("claims"):
            assert compared(cell)
            assert any(output["output_type"] == "stream" for output in cell["outputs"])


def test_every_promise_has_its_notebook() -> None:
    """No notebook that the curriculum names is missing."""
    assert set(CURRICULUM) <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_few_cells_are_not_compared(path: Path) -> None:
    """At most one cell in five depends on the wall clock."""
    cells = code_cells(path)
    assert sum(not compared(cell) for cell in cells) <= len(cells) / 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_are_short(path: Path) -> None:
    """A code cell has at most 15 lines, none of them wider than a notebook's page."""
    for cell in code_cells(path):
        lines = "".join(cell["source"]).splitlines()
        assert len(lines) <= 15
        assert max(map(len, lines)) <= 94

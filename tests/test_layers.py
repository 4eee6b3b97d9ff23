"""The layering: who may import whom. `LAYERS` is its one source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "workbench"

# A unit is a module or a package of workbench. It imports only from units with a lower number,
# never from its own row.
LAYERS = """
    0 vocabulary   errors messages clock tokens
    1 machines     events limits partial_json prices redaction resilience
    2 wire         wire
    3 instruments  tracing progress limiter streams ledger profiling scratch credentials audit
    4 provider     simulator
    5 adapters     providers cassettes
    6 drivers      background calls fanout relay
    7 applications experiments rag
    8 pictures     charts
    9 views        widgets
    10 practice    practice
    11 shell       notebook nesting cli
    12 entry       __main__
"""
# `import workbench` may load these at once; its __getattr__ loads the rest when it is first used.
EAGER = {"errors", "clock"}
# None of these is loaded by `import workbench`.
HEAVY = "openai anthropic httpx2 pydantic splintr pandas numpy matplotlib rich IPython ipykernel ipywidgets"

LAYER_OF = {
    unit: int(layer) for layer, _, *units in map(str.split, LAYERS.strip().splitlines()) for unit in units
}


def units(package: Path) -> set[str]:
    modules = {path.stem for path in package.glob("*.py") if path.stem != "__init__"}
    return modules | {path.parent.name for path in package.glob("*/__init__.py")}


def imports(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, unit) for each import from the package, wherever it stands; '.' if relative."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "."
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            root, _, rest = name.partition(".")
            if root == package and isinstance(node, ast.Import | ast.ImportFrom):
                yield node.lineno, rest.partition(".")[0]


def violations(package: Path, layer_of: dict[str, int]) -> list[str]:
    """Say what in a package is against the layers; `__init__.py` itself is held by EAGER."""
    found = [f"{unit} is in no layer" for unit in sorted(units(package) - layer_of.keys())]
    found += [f"{unit} is in the table only" for unit in sorted(layer_of.keys() - units(package))]
    for path in sorted(package.rglob("*.py")):
        where = path.relative_to(package)
        unit = where.parts[0].removesuffix(".py")
        if unit == "__init__":
            continue
        for line, target in imports(path, package.name):
            if target == ".":
                found.append(f"{where}:{line} imports relatively")
            elif target not in layer_of:
                found.append(f"{where}:{line} imports {target or package.name}, which is no unit")
            elif target != unit and layer_of[target] >= layer_of.get(unit, -1):
                found.append(f"{where}:{line} imports {target}, which is not below {unit}")
    return found


def test_imports_point_strictly_down() -> None:
    """Every unit has a layer, and imports only from layers below its own."""
    assert violations(PACKAGE, LAYER_OF) == []


def test_the_package_itself_imports_little() -> None:
    """`workbench/__init__.py` imports at once only what is light and at the bottom."""
    path = PACKAGE / "__init__.py"
    top = {node.lineno for node in ast.parse(path.read_text(encoding="utf-8")).body}
    assert {unit for line, unit in imports(path, "workbench") if line in top} <= EAGER
    assert all(LAYER_OF[unit] == 0 for unit in EAGER)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`import workbench` loads no SDK, no HTTP client, no data frame, no plots and no Jupyter."""
    code = f"import sys, workbench; print(*sorted(sys.modules.keys() & set({HEAVY.split()!r})))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param("from pkg.low import x", None, id="down"),
        pytest.param("import pkg.low", None, id="down, plain"),
        pytest.param("from pkg.mid.inner import x", None, id="own package"),
        pytest.param("from pkg import low", None, id="down, by name"),
        pytest.param("if TYPE_CHECKING:\n    from pkg.high import x", None, id="types only"),
        pytest.param("from pkg.high import x", "imports high, which is not below mid", id="up"),
        pytest.param("def f():\n    import pkg.high", "imports high, which is not", id="up, inside"),
        pytest.param("from pkg.peer import x", "imports peer, which is not below mid", id="sideways"),
        pytest.param("from ..high import x", "imports relatively", id="relative"),
        pytest.param("import pkg", "imports pkg, which is no unit", id="the package itself"),
    ],
)
def test_the_check_sees_each_kind_of_import(tmp_path: Path, line: str, complaint: str | None) -> None:
    """An import that does not point down is found wherever it stands, and no other is."""
    package = tmp_path / "pkg"
    (package / "mid").mkdir(parents=True)
    for name in ("__init__", "low", "peer", "high", "mid/__init__", "mid/inner"):
        (package / f"{name}.py").touch()
    (package / "mid/inner.py").write_text(line)
    found = violations(package, {"low": 0, "mid": 1, "peer": 1, "high": 2})
    if complaint is None:
        assert found == []
    else:
        assert len(found) == 1
        assert complaint in found[0]


def test_the_check_holds_the_table_against_the_folder(tmp_path: Path) -> None:
    """A unit that is not in the table is found, and so is a row without its unit."""
    (tmp_path / "new.py").touch()
    assert violations(tmp_path, {"gone": 0}) == ["new is in no layer", "gone is in the table only"]

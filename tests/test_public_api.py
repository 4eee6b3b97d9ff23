"""The public API: every name is there, is documented, and is known to type checkers.

How it is typed, tests/typing_public_api.py says; what importing it loads, tests/test_layers.py.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

TREE = ast.parse(Path(workbench.__file__).read_text(encoding="utf-8"))


def names_for_type_checkers() -> dict[str, str]:
    """Each name in the TYPE_CHECKING block, and the module that it is imported from."""
    (block,) = (n for n in TREE.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, f"{alias.name} is not re-exported: import it as itself"
            found[alias.name] = str(node.module)
    return found


def test_the_two_tables_agree() -> None:
    """What a type checker sees is what is there at run time, from the same modules."""
    at_run_time = {
        name: f"workbench.{module}" for module, names in workbench._HOMES.items() for name in names
    }
    assert names_for_type_checkers() == at_run_time
    assert workbench.__all__ == sorted(at_run_time)


@pytest.mark.parametrize("name", workbench.__all__)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    """Each name gives the object of its module, which lists it as public and says what it is."""
    thing = getattr(workbench, name)
    home = importlib.import_module(names_for_type_checkers()[name])
    assert thing is getattr(home, name)
    assert name in home.__all__
    text = inspect.getdoc(thing)
    assert text
    assert text[0].isupper()
    if inspect.isclass(thing):
        assert thing.__doc__, "an inherited docstring says nothing of this class"


@pytest.mark.parametrize("name", workbench.__all__)
def test_every_argument_is_documented(name: str) -> None:
    """The docstring of a public function or class of ours names each of its arguments."""
    thing = getattr(workbench, name)
    if inspect.isclass(thing) and (issubclass(thing, BaseException) or hasattr(thing, "model_fields")):
        return  # raised by us; or its fields are its documentation
    text = inspect.getdoc(thing) or ""
    parameters = inspect.signature(thing).parameters.values()
    given = [p.name for p in parameters if not p.name.startswith("_") and p.kind is not p.VAR_KEYWORD]
    by_hand = {
        "Chart",
        "FanOut",
        "RequestLog",
        "load_ipython_extension",
        "unload_ipython_extension",
    }  # not for users to make
    assert name in by_hand or [p for p in given if f"{p}:" not in text and f"`{p}`" not in text] == []


def test_the_names_are_listed() -> None:
    """dir(), and with it completion, has all of them, also before their first use; none twice."""
    code = "import workbench; names = dir(workbench); print(*sorted(set(workbench.__all__) - set(names)))"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert fresh.stdout.split() == []


def test_star_import() -> None:
    """`from workbench import *` gives the public names and nothing else."""
    code = "from workbench import *; print(*sorted(n for n in dir() if not n.startswith('__')))"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert fresh.stdout.split() == workbench.__all__


def test_an_unknown_name() -> None:
    """A name that is not there is an AttributeError, as with any module."""
    with pytest.raises(AttributeError, match="module 'workbench' has no attribute 'fanout_'"):
        _ = workbench.fanout_
    with pytest.raises(ImportError, match="cannot import name 'Nothing' from 'workbench'"):
        from workbench import Nothing  # noqa: F401


def test_a_name_is_looked_up_once() -> None:
    """After its first use a public name is an ordinary global of the package."""
    assert workbench.fan_out is vars(workbench)["fan_out"]


def test_the_version() -> None:
    """The version in the package is the one in pyproject.toml."""
    text = (Path(workbench.__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{workbench.__version__}"\n' in text

"""environment.yml and requirements.lock say what pyproject.toml says."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def bounds(requirements: list[str]) -> dict[str, str]:
    parsed = [Requirement(text) for text in requirements]
    return {canonicalize_name(each.name): str(each.specifier) for each in parsed}


def test_environment_names_the_same_dependencies_and_bounds() -> None:
    """A conda user gets the names and bounds of pyproject.toml, no fewer and no more."""
    (from_pip,) = [each["pip"] for each in ENVIRONMENT["dependencies"] if isinstance(each, dict)]
    assert "-e ." in from_pip
    assert bounds([each for each in from_pip if each != "-e ."]) == bounds(PROJECT["dependencies"])


def test_environment_has_a_python_that_the_project_accepts() -> None:
    """The Python of environment.yml is one that pyproject.toml allows."""
    (python,) = [each for each in ENVIRONMENT["dependencies"] if str(each).startswith("python=")]
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert allowed.contains(f"{python.removeprefix('python=')}.0")


def test_lock_pins_each_dependency_within_its_bounds() -> None:
    """Each dependency, extras included, is locked to a version that pyproject.toml allows."""
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", LOCK, re.MULTILINE))
    extras = [text for texts in PROJECT["optional-dependencies"].values() for text in texts]
    for text in PROJECT["dependencies"] + extras:
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), text


def test_lock_has_hashes_and_no_addresses() -> None:
    """The lock names packages by version and hash only, never by the address they came from."""
    assert "://" not in LOCK
    for block in re.split(r"\n(?=\S)", LOCK.strip()):
        assert re.match(r"[a-z0-9.-]+==\S+", block), block
        assert "--hash=sha256:" in block, block

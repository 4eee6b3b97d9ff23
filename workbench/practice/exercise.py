"""An exercise is a folder of data: its text, its programs, and the checks that judge them.

Rule of this file: nothing of an exercise is executed here; what must be known of its checks (their names and
claims) is read from their source.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import ConfigurationError

__all__ = ["FOLDER", "Check", "Exercise", "Mistake", "names"]

FOLDER = Path(__file__).parent / "exercises"
_SDK = re.compile(r"lab\.simulator\(|import (openai|anthropic|httpx2)|from (openai|anthropic|httpx2)")
_FENCE = "+++\n"


@dataclass(frozen=True)
class Mistake:
    """A mistake that people make: what the report calls it, says of it, and where it sends the reader."""

    name: str
    says: str
    look_at: str


@dataclass(frozen=True)
class Check:
    """A check's function, and the behaviour that it judges in one sentence."""

    name: str
    claim: str


@dataclass(frozen=True)
class Exercise:
    """One exercise, as its folder tells it.

    Args:
        folder: where it is; its name is the exercise's slug.
        title: for people.
        topics: what it is about, the main one first.
        minutes: that an interview gives for it.
        difficulty: from 1 to 3.
        entry: the name of the function or class that a program must define.
        signature: how it is called.
        mistakes: by their keys, the most telling first: the first that is found is the diagnosis.
        follow_ups: what an interviewer asks when all is right.
        prompt: the task, in Markdown.
        notebook: that teaches it; empty: there is none yet.
    """

    folder: Path
    title: str
    topics: tuple[str, ...]
    minutes: int
    difficulty: int
    entry: str
    signature: str
    mistakes: Mapping[str, Mistake]
    follow_ups: tuple[str, ...]
    prompt: str
    notebook: str = ""

    @classmethod
    def load(cls, slug: str, folder: Path = FOLDER) -> Exercise:
        """The exercise of that name.

        Raises:
            ConfigurationError: there is none, or its `prompt.md` is not as it should be.
        """
        path = folder / slug / "prompt.md"
        if slug not in names(folder):
            known = ", ".join(names(folder))
            raise ConfigurationError(f"there is no exercise {slug!r}; there are: {known}")
        opening, head, prompt = path.read_text(encoding="utf-8").split(_FENCE, 2)
        try:
            facts: dict[str, Any] = tomllib.loads(head)
            facts["mistakes"] = {key: Mistake(**each) for key, each in facts["mistakes"].items()}
            for name in ("topics", "follow_ups"):
                facts[name] = tuple(facts[name])
            return cls(folder=path.parent, prompt=prompt.strip(), **facts)
        except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"the head of {slug}/prompt.md{opening} is wrong: {error}") from error

    @property
    def slug(self) -> str:
        """What it is called on the command line."""
        return self.folder.name

    def text(self, file: str) -> str:
        """A file of its folder, such as ``starter.py`` or ``discussion.md``."""
        return (self.folder / file).read_text(encoding="utf-8")

    def hints(self) -> list[str]:
        """Its hints, each a little more than the one before."""
        return [hint.split("\n", 1)[1].strip() for hint in f"\n{self.text('hints.md')}".split("\n## ")[1:]]

    def programs(self, kind: str) -> dict[str, str]:
        """Its ``right_*.py`` or ``wrong_*.py``: the source of each by what stands for the star."""
        return {
            path.stem.removeprefix(f"{kind}_"): path.read_text(encoding="utf-8")
            for path in sorted(self.folder.glob(f"{kind}_*.py"))
        }

    @property
    def simulated(self) -> bool:
        """Whether a provider is simulated for it, or it uses an SDK: to import those takes long."""
        return bool(_SDK.search(self.text("checks.py") + self.text("solution.py")))

    def checks(self) -> list[Check]:
        """Its checks, in their order."""
        functions = [
            node for node in ast.parse(self.text("checks.py")).body if isinstance(node, ast.AsyncFunctionDef)
        ]
        return [
            Check(each.name, " ".join((ast.get_docstring(each) or each.name).split()))
            for each in functions
            if each.name.startswith("check_")
        ]


def names(folder: Path = FOLDER) -> list[str]:
    """The names of all exercises."""
    return sorted(path.parent.name for path in folder.glob("*/prompt.md"))

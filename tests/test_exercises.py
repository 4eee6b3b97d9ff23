"""The exercises' folders are complete, and say what a learner needs."""

import ast
from pathlib import Path

import pytest

from workbench.practice.exercise import Exercise, Mistake, names

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
EXERCISES = [pytest.param(Exercise.load(slug), id=slug) for slug in names()]


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_folder_has_all_its_files(exercise: Exercise) -> None:
    """There are three hints, a discussion, two other right programs, and one wrong for each mistake."""
    assert len(exercise.hints()) == 3
    assert exercise.text("discussion.md")
    assert len(exercise.programs("right")) >= 2
    assert {name.split("__")[0] for name in exercise.programs("wrong")} == set(exercise.mistakes)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_a_head_is_sensible(exercise: Exercise) -> None:
    """Times, difficulty, topics and questions are in the range that sessions draw from."""
    assert 10 <= exercise.minutes <= 30
    assert exercise.difficulty in (1, 2, 3)
    assert exercise.topics
    assert len(exercise.follow_ups) >= 3
    assert exercise.entry in exercise.signature
    assert exercise.entry in exercise.prompt
    assert not exercise.notebook or (NOTEBOOKS / exercise.notebook).exists()
    for mistake in exercise.mistakes.values():
        assert all(vars(mistake)[name] for name in Mistake.__dataclass_fields__)


@pytest.mark.parametrize("exercise", EXERCISES)
def test_checks_say_what_they_judge(exercise: Exercise) -> None:
    """Each check has a claim, each claim is another one, and each mistake is named by some check."""
    claims = [check.claim for check in exercise.checks()]
    assert claims
    assert len(set(claims)) == len(claims)
    assert all(claim.endswith(".") for claim in claims)
    texts = {
        node.value
        for node in ast.walk(ast.parse(exercise.text("checks.py")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(exercise.mistakes) <= texts

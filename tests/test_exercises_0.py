"""Every program of half of the exercises is judged as its file name says."""

import pytest

from tests.exercise_bank import hold_to_its_name, table


@pytest.mark.parametrize(
    ("slug", "program", "source"), [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in table(0, 2)]
)
def test_each_program_is_judged_as_its_name_says(slug: str, program: str, source: str) -> None:
    """The starter fails, right ones pass without a remark, each mistake is named first; twice the same."""
    hold_to_its_name(slug, program, source)

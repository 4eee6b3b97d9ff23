"""The table of all practice programs, and what each has to be judged as."""

import functools
from collections.abc import Iterator

from workbench.practice.exercise import Exercise, names
from workbench.practice.report import Report, check_program
from workbench.practice.sandbox import Sandbox


@functools.cache
def sandbox(simulated: bool) -> Sandbox:
    """One of each kind for all tests of a process: to fork one that has no SDK in it takes a third."""
    return Sandbox()


def table(part: int, parts: int) -> Iterator[tuple[str, str, str]]:
    """(exercise, program, source) for each `parts`-th exercise: pytest-xdist gives a file to one worker."""
    for slug in names()[part::parts]:
        exercise = Exercise.load(slug)
        for program in ("starter", "solution"):
            yield slug, program, exercise.text(f"{program}.py")
        for kind in ("right", "wrong"):
            for name, source in exercise.programs(kind).items():
                yield slug, f"{kind}_{name}", source


def judge(slug: str, source: str) -> Report:
    exercise = Exercise.load(slug)
    return check_program(exercise, source, sandbox(exercise.simulated))


def hold_to_its_name(slug: str, program: str, source: str) -> None:
    """Judge a program twice; fail unless it is judged as its file name says, both times in the same bytes."""
    report = judge(slug, source)
    if program.startswith("wrong_"):
        mistake = program.removeprefix("wrong_").split("__")[0]
        assert report.findings, "nothing is said to be wrong"
        assert report.findings[0].key == mistake, f"{report}"
    else:
        assert report.passed == (program != "starter"), f"{report}"
    again = judge(slug, source)
    assert str(again) == str(report)
    assert again.to_html() == report.to_html()

"""Practice sessions: what is kept of them, what is drawn, and the same in a terminal and in a notebook."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest

from tools.notebooks import execute
from workbench.charts import Chart
from workbench.cli import main
from workbench.errors import ConfigurationError
from workbench.practice.desk import Practice
from workbench.practice.exercise import Exercise, names
from workbench.practice.session import draw
from workbench.practice.store import Attempt, Store
from workbench.practice.task import Task, write_notebook, write_program

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SLUG = "sse-parser"
ALL = [Exercise.load(slug) for slug in ("bounded-fan-out", "circuit-breaker", SLUG)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, which is also the one that commands use."""
    monkeypatch.setenv("WORKBENCH_PRACTICE_DIR", str(tmp_path / "kept"))
    monkeypatch.chdir(tmp_path)
    return Store()


def record(store: Store, passed: bool, after: float, *, slug: str = SLUG) -> Attempt:
    now = NOON + timedelta(minutes=after)
    return store.record(slug, "code", passed=passed, mistake="" if passed else "m", now=now, minutes=20)


def test_a_score_counts_hints_and_failures(store: Store) -> None:
    """A hint takes 15 points, however often it is seen, and a failure 5; a pass ends the opening."""
    store.open(SLUG, NOON)
    store.hint(SLUG, 2, NOON)
    store.hint(SLUG, 1, NOON)
    assert record(store, False, 1).score == 0
    attempt = record(store, True, 2)
    assert (attempt.score, attempt.hints, attempt.failed_before, attempt.seconds) == (65, 2, 1, 120.0)
    assert record(store, True, 3).score == 100  # opened anew


def test_who_has_seen_the_solution_scores_nothing(store: Store) -> None:
    """A solution that was looked at before leaves no score, and the task is due again at once or tomorrow."""
    store.open(SLUG, NOON)
    store.reveal(SLUG, NOON)
    assert record(store, True, 1).score == 0
    assert store.due()[SLUG] <= NOON + timedelta(days=1)


def test_better_results_are_due_later(store: Store) -> None:
    """What came at once is due again later than what took hints, and the days are the same every time."""
    store.open("a", NOON)
    record(store, True, 1, slug="a")
    store.open("b", NOON)
    store.hint("b", 3, NOON)
    record(store, True, 1, slug="b")
    due = store.due()
    assert due["a"] > due["b"] > NOON
    days = [(due[slug] - NOON).days for slug in "ab"]
    assert days == [8, 1]


def test_nothing_is_written_by_looking(store: Store) -> None:
    """Reading makes no file."""
    assert (store.attempts(), store.due(), store.session(NOON)) == ([], {}, None)
    assert not store.path.exists()


def test_a_session_runs_until_its_time_is_over(store: Store) -> None:
    """Whoever opens the file, a kernel that was restarted for one, finds the interview that is under way."""
    session = store.start_session(30, [SLUG], NOON)
    assert Store().session(NOON + timedelta(minutes=29)) == session
    assert Store().session(NOON + timedelta(minutes=30)) is None


def test_an_attempt_survives_a_kill(store: Store) -> None:
    """What was recorded is there after the process was killed in the next instant."""
    code = (
        "import os, signal; from datetime import datetime, UTC; from workbench.practice.store import Store\n"
        f"Store().record('{SLUG}', 'code', passed=False, mistake='m', now=datetime.now(UTC), minutes=20)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], env=os.environ.copy(), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [attempt.mistake for attempt in store.attempts()] == ["m"]


def test_export_and_delete(store: Store) -> None:
    """Both forms have every attempt with its code; deleting leaves no file."""
    record(store, False, 0)
    record(store, True, 1)
    as_json = json.loads(store.export("json"))["attempts"]
    as_csv = list(csv.DictReader(io.StringIO(store.export("csv"))))
    assert [row["passed"] for row in as_json] == [False, True]
    assert [row["at"] for row in as_csv] == [row["at"] for row in as_json]
    assert as_csv[0]["code"] == "code"
    store.delete()
    assert list(store.path.parent.iterdir()) == []


def test_a_draw_is_balanced_and_fits() -> None:
    """Topics do not repeat while there are others, and the minutes are not exceeded; the seed decides."""
    for seed in range(20):
        drawn = draw(ALL, minutes=45, now=NOON, due={}, seed=seed)
        assert sum(each.minutes for each in drawn) <= 45
        assert len({each.topics[0] for each in drawn}) == len(drawn)
        assert drawn == draw(list(reversed(ALL)), minutes=45, now=NOON, due={}, seed=seed)


def test_what_is_due_comes_first() -> None:
    """Of one topic, what is due is drawn before what is new, and that before what is not due yet."""
    day = timedelta(days=1)
    due = {each.slug: NOON + day for each in ALL} | {SLUG: NOON - day}
    assert draw(ALL, minutes=60, now=NOON, due=due)[0].slug == SLUG
    assert [each.slug for each in draw(ALL, minutes=60, now=NOON, due=due, only_due=True)] == [SLUG]
    del due["circuit-breaker"]
    drawn = draw(ALL, minutes=60, now=NOON, due=due, topics=["resilience"])
    assert drawn[0].slug == "circuit-breaker"


def test_a_draw_that_finds_nothing_says_what_there_is() -> None:
    """Topics that no exercise has are an error that names those that there are."""
    with pytest.raises(ConfigurationError, match=r"topics=\['cooking'\].*topics are: .*streaming"):
        draw(ALL, minutes=45, now=NOON, due={}, topics=["cooking"])


def test_a_learners_work_is_never_overwritten(tmp_path: Path) -> None:
    """A notebook or a file that is there stays as it is."""
    exercise = Exercise.load(SLUG)
    for write in (write_notebook, write_program):
        path = write(exercise, tmp_path / "practice")
        path.write_text("mine")
        assert write(exercise, tmp_path / "practice").read_text() == "mine"


@pytest.mark.parametrize("slug", names())
def test_made_notebooks_are_valid(slug: str, tmp_path: Path) -> None:
    """Each task's notebook is one that Jupyter accepts."""
    nbformat.validate(nbformat.read(write_notebook(Exercise.load(slug), tmp_path), as_version=4))


def test_a_made_notebook_runs(store: Store, tmp_path: Path) -> None:
    """Run from top to bottom, it judges the starter, keeps the attempt, and shows no hint."""
    path = write_notebook(Exercise.load(SLUG), tmp_path)
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, tmp_path)
    (output,) = notebook.cells[4].outputs
    assert "Server-sent events: not yet" in output["data"]["text/plain"]
    assert "<h3>" in output["data"]["text/html"]
    (attempt,) = store.attempts()
    assert (attempt.hints, attempt.code) == (0, Exercise.load(SLUG).text("starter.py").strip())


def test_hints_and_discussion(store: Store) -> None:
    """A hint costs points, one that does not exist is an error, and the discussion holds the solution."""
    task = Task(SLUG)
    assert "chunks" in repr(task.hint(1))
    with pytest.raises(ConfigurationError, match="hints 1 to 3, got 4"):
        task.hint(4)
    assert task.check(task.exercise.text("solution.py")).passed
    assert store.attempts()[0].score == 85
    assert "def lines(chunks)" in repr(task.discussion())
    assert store.due()[SLUG] > datetime.now(UTC)  # seen after the pass, it changes nothing


def test_the_commands(store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """start, open, check, list, report, export and delete do in a terminal what the notebook does."""

    def said(*arguments: str, status: int = 0) -> str:
        assert main(arguments) == status
        return capsys.readouterr().out

    assert "A mock interview of 30 minutes has begun" in said("practice", "start", "--minutes", "30")
    assert "workbench check sse-parser" in said("practice", "open", SLUG)
    program = tmp_path / "practice" / f"{SLUG}.py"
    assert "Server-sent events: not yet" in said("check", SLUG, str(program), status=1)
    program.write_text(Exercise.load(SLUG).text("solution.py"))
    assert "Server-sent events: right" in said("check", SLUG, str(program))
    assert "95" in next(line for line in said("practice", "list").splitlines() if line.startswith(SLUG))
    assert "1 tasks solved, in 2 attempts" in said("practice", "report")
    assert len(json.loads(said("practice", "export"))["attempts"]) == 2
    assert "--yes" in said("practice", "delete")
    assert store.path.exists()
    said("practice", "delete", "--yes")
    assert not store.path.exists()
    assert main(["check", SLUG, "no-such-file.py"]) == 2
    assert main(["practice", "open", "no-such-task"]) == 2


def test_watching_judges_each_saved_version(store: Store, tmp_path: Path) -> None:
    """`--watch` judges the file again when it has changed, until it is interrupted."""
    program = write_program(Exercise.load(SLUG), tmp_path)
    command = [sys.executable, "-m", "workbench", "check", SLUG, str(program), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ.copy()) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        assert any(line == "Server-sent events: not yet\n" for line in lines)
        program.write_text(Exercise.load(SLUG).text("solution.py"))
        assert any(line == "Server-sent events: right\n" for line in lines)
        process.send_signal(signal.SIGINT)


def test_the_desk_shows_what_was_done(store: Store) -> None:
    """The charts' digests, the table and the report tell of the same attempts."""
    desk = Practice()
    assert "Nothing to draw yet" in repr(desk.history())
    assert repr(desk.progress()) == repr(desk.history())
    session = desk.interview(30)
    now = datetime.now(UTC)
    store.record(session.slugs[0], "x", passed=True, mistake="", now=now, minutes=20)
    assert f"{session.slugs[0]}: solved after 0 minutes, score 100" in desk.report()
    assert repr(desk.progress()) == "progress: 1 of 1 tasks that were tried are solved"
    assert repr(desk.history()) == "history: 1 attempts, 1 passed"
    history = desk.history()
    assert isinstance(history, Chart)
    assert history.png()
    assert desk.interview(30).number == session.number + 1

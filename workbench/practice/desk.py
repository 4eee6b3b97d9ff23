"""The door to practice in a notebook: pick a task, start a mock interview, see how it goes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import clock
from workbench.practice.exercise import Exercise, names
from workbench.practice.session import draw
from workbench.practice.store import Session, Store
from workbench.practice.task import Markdown, write_notebook

if TYPE_CHECKING:
    from workbench.charts import Chart

__all__ = ["Practice"]

_ANY = "any"
_NOTHING = Markdown("Nothing to draw yet: it begins with your first `task.check()`.")


class Practice:
    """Everything that there is to practise, and what was practised so far.

    In a notebook its display has a menu of tasks, and one for mock interviews.

    Args:
        folder: where the tasks' notebooks are made; by default ``practice/`` in the current one.
        store: what was done; by default the user's own.
    """

    def __init__(self, *, folder: Path | None = None, store: Store | None = None) -> None:
        self.exercises = [Exercise.load(slug) for slug in names()]
        self.store = store or Store()
        self._folder = Path("practice") if folder is None else folder

    def open(self, slug: str) -> Path:
        """Make a task's notebook, unless it is there, and say where it is."""
        return write_notebook(Exercise.load(slug), self._folder)

    def interview(
        self,
        minutes: int = 45,
        *,
        topics: Sequence[str] = (),
        difficulty: int | None = None,
        only_due: bool = False,
    ) -> Session:
        """Start a mock interview: draw its tasks, make their notebooks, and let the time run.

        The arguments are those of :func:`~workbench.practice.session.draw`.
        """
        number = len(self.store.sessions())  # another draw each time
        drawn = draw(
            self.exercises,
            minutes=minutes,
            now=clock.date(),
            due=self.store.due(),
            topics=topics,
            difficulty=difficulty,
            only_due=only_due,
            seed=number,
        )
        for exercise in drawn:
            write_notebook(exercise, self._folder)
        return self.store.start_session(minutes, [each.slug for each in drawn], clock.date())

    def table(self) -> list[dict[str, str]]:
        """One row for each exercise, as text: what it is, its best score, and when it is due."""
        due, attempts, now = self.store.due(), self.store.attempts(), clock.date()
        rows = []
        for each in self.exercises:
            scores = [attempt.score for attempt in attempts if attempt.slug == each.slug and attempt.passed]
            when = due.get(each.slug)
            rows.append(
                {
                    "task": each.slug,
                    "topic": each.topics[0],
                    "minutes": str(each.minutes),
                    "difficulty": "●" * each.difficulty,
                    "tries": str(sum(attempt.slug == each.slug for attempt in attempts) or ""),
                    "best": str(max(scores, default="")),
                    "due": "" if when is None else "now" if when <= now else f"{when:%Y-%m-%d}",
                }
            )
        return rows

    def report(self) -> str:
        """What was done so far, as text: the mistakes that come again, and the latest interview."""
        attempts = self.store.attempts()
        passed = {each.slug for each in attempts if each.passed}
        lines = [f"{len(passed)} tasks solved, in {len(attempts)} attempts"]
        mistakes = [each.mistake for each in attempts if each.mistake]
        often = sorted(dict.fromkeys(mistakes), key=mistakes.count, reverse=True)[:5]
        lines += [f"  {mistakes.count(mistake)} × {mistake}" for mistake in often]
        for session in self.store.sessions()[-1:]:
            lines.append(f"The latest interview ({session.minutes} minutes):")
            lines += [f"  {slug}: {_result(session, slug, attempts)}" for slug in session.slugs]
        return "\n".join(lines)

    def progress(self) -> Chart | Markdown:
        """A chart: the best score of each task that was tried; a sentence while there is none."""
        from workbench.practice.views import progress

        attempts = self.store.attempts()
        return progress(attempts) if attempts else _NOTHING

    def history(self) -> Chart | Markdown:
        """A chart: the score of each attempt, day by day; a sentence while there is none."""
        from workbench.practice.views import history

        attempts = self.store.attempts()
        return history(attempts) if attempts else _NOTHING

    def __repr__(self) -> str:
        rows = self.table()
        widths = {name: max(len(row[name]) for row in [*rows, {n: n for n in rows[0]}]) for name in rows[0]}
        lines = [{name: name for name in widths}, *rows]
        return "\n".join(
            "  ".join(row[name].ljust(widths[name]) for name in widths).rstrip() for row in lines
        )

    def _ipython_display_(self) -> None:
        from IPython.display import display

        print(self)
        display(self._menus())  # type: ignore[no-untyped-call]  # IPython

    def _menus(self) -> Any:
        import ipywidgets

        topics = sorted({topic for each in self.exercises for topic in each.topics})
        task = ipywidgets.Dropdown(options=[each.slug for each in self.exercises], description="task")
        minutes = ipywidgets.Dropdown(options=[30, 45, 60], value=45, description="minutes")
        topic = ipywidgets.Dropdown(options=[_ANY, *topics], description="topic")
        level = ipywidgets.Dropdown(options=[_ANY, 1, 2, 3], description="difficulty")
        due = ipywidgets.Checkbox(description="only what is due")
        opens = ipywidgets.Button(description="Open the task")
        starts = ipywidgets.Button(description="Start a mock interview", layout={"width": "14em"})
        answer = ipywidgets.VBox()

        def open_task(_: object) -> None:
            answer.children = [ipywidgets.HTML(_links([self.open(task.value).stem]))]

        def start(_: object) -> None:
            options: dict[str, Any] = {"only_due": due.value}
            options["topics"] = () if topic.value == _ANY else (topic.value,)
            options["difficulty"] = None if level.value == _ANY else level.value
            try:
                session = self.interview(minutes.value, **options)
            except ValueError as error:
                answer.children = [ipywidgets.HTML(html.escape(str(error)))]
            else:
                answer.children = self._under_way(session)

        opens.on_click(open_task)
        starts.on_click(start)
        session = self.store.session(clock.date())
        answer.children = self._under_way(session) if session else ()
        rows = [
            ipywidgets.HBox([task, opens]),
            ipywidgets.HBox([minutes, topic, level]),
            ipywidgets.HBox([due, starts]),
        ]
        return ipywidgets.VBox([*rows, answer])

    def _under_way(self, session: Session) -> list[Any]:
        import ipywidgets

        from workbench.practice.countdown import Countdown

        return [Countdown(session.end, "The interview"), ipywidgets.HTML(_links(session.slugs))]


def _links(slugs: Sequence[str]) -> str:
    titles = [(slug, Exercise.load(slug)) for slug in slugs]
    items = (
        f'<li><a href="practice/{slug}.ipynb">{html.escape(each.title)}</a>, {each.minutes} minutes'
        for slug, each in titles
    )
    return f"<ol>{''.join(items)}</ol>"


def _result(session: Session, slug: str, attempts: Sequence[Any]) -> str:
    mine = [each for each in attempts if each.slug == slug and session.start <= each.at]
    in_time = [each for each in mine if each.at < session.end + timedelta(seconds=1)]
    solved = next((each for each in in_time if each.passed), None)
    if solved:
        return f"solved after {solved.seconds / 60:.0f} minutes, score {solved.score}"
    return f"not solved, {len(in_time)} attempts" if in_time else "not tried"

"""What a learner has done, in one SQLite file on this machine; it is on the disk before a call returns.

Rule of this file: times come in as arguments, and every connection is short, so that a kernel, a terminal and
a process that is killed can share the file (its journal is a write-ahead log).
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import platformdirs
from fsrs import Card, Rating, Scheduler

__all__ = ["Attempt", "Opening", "Session", "Store"]

_TABLES = """
    CREATE TABLE IF NOT EXISTS openings (
        number INTEGER PRIMARY KEY, slug TEXT, start TEXT, hints INTEGER DEFAULT 0,
        revealed INTEGER DEFAULT 0, done INTEGER DEFAULT 0);
    CREATE TABLE IF NOT EXISTS attempts (
        number INTEGER PRIMARY KEY, slug TEXT, at TEXT, seconds REAL, hints INTEGER, failed_before INTEGER,
        passed INTEGER, mistake TEXT, score INTEGER, code TEXT);
    CREATE TABLE IF NOT EXISTS cards (slug TEXT PRIMARY KEY, card TEXT);
    CREATE TABLE IF NOT EXISTS sessions (number INTEGER PRIMARY KEY, start TEXT, minutes INTEGER, slugs TEXT);
"""
_SCHEDULER = Scheduler(
    learning_steps=(), relearning_steps=(), enable_fuzzing=False
)  # an exercise a day, or more
_HINT, _FAILURE = 15, 5  # what each takes from a score of 100


@dataclass(frozen=True)
class Opening:
    """A task that is being worked on: since when, with how many hints, and whether its solution was shown."""

    number: int
    slug: str
    start: datetime
    hints: int
    revealed: bool


@dataclass(frozen=True)
class Attempt:
    """One check of a program, `seconds` after the task was opened, with so many hints and failures before."""

    number: int
    slug: str
    at: datetime
    seconds: float
    hints: int
    failed_before: int
    passed: bool
    mistake: str
    score: int
    code: str


@dataclass(frozen=True)
class Session:
    """A mock interview: when it began, how long it is, and its tasks."""

    number: int
    start: datetime
    minutes: int
    slugs: tuple[str, ...]

    @property
    def end(self) -> datetime:
        """When the time is over."""
        return self.start + timedelta(minutes=self.minutes)


class Store:
    """The file; it is made when it is first written to.

    Args:
        folder: where it is; by default what WORKBENCH_PRACTICE_DIR says, or else the user's data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        named = os.environ.get("WORKBENCH_PRACTICE_DIR") or platformdirs.user_data_dir("llm-workbench", False)
        self.path = (folder or Path(named)) / "practice.sqlite3"

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path, timeout=10)) as database:
            database.row_factory = sqlite3.Row
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_TABLES)
            with database:  # one transaction
                database.execute("BEGIN IMMEDIATE")
                yield database

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        if not self.path.exists():
            return []
        with self._database() as database:
            return database.execute(query, values).fetchall()

    # -- one task -------------------------------------------------------------------------------------

    def open(self, slug: str, now: datetime) -> Opening:
        """The opening of a task that is not done yet, or a new one."""
        with self._database() as database:
            query = "SELECT * FROM openings WHERE slug = ? AND NOT done"
            row = database.execute(query, [slug]).fetchone()
            if row is None:
                database.execute("INSERT INTO openings (slug, start) VALUES (?, ?)", [slug, now.isoformat()])
                row = database.execute(query, [slug]).fetchone()
        start = datetime.fromisoformat(row["start"])
        return Opening(row["number"], slug, start, row["hints"], bool(row["revealed"]))

    def hint(self, slug: str, number: int, now: datetime) -> None:
        """The learner has seen that hint, from 1; seeing it again costs nothing."""
        opening = self.open(slug, now).number
        with self._database() as database:
            database.execute("UPDATE openings SET hints = max(hints, ?) WHERE number = ?", [number, opening])

    def reveal(self, slug: str, now: datetime) -> None:
        """The learner has seen the solution; if no program has passed yet, the task is due again soon."""
        opening = next(iter(self._rows("SELECT * FROM openings WHERE slug = ? AND NOT done", slug)), None)
        if opening and not opening["revealed"]:
            with self._database() as database:
                database.execute("UPDATE openings SET revealed = 1 WHERE number = ?", [opening["number"]])
                self._review(database, slug, Rating.Again, now)

    def record(
        self, slug: str, code: str, *, passed: bool, mistake: str, now: datetime, minutes: int
    ) -> Attempt:
        """Keep an attempt; one that passes ends the opening, and sets the day on which the task is due again.

        Args:
            slug: of the exercise.
            code: of the program.
            passed: whether it is right.
            mistake: the first that was found; empty if there is none.
            now: when it was.
            minutes: that an interview gives for it.
        """
        opening = self.open(slug, now)
        with self._database() as database:
            (failed,) = database.execute(
                "SELECT count(*) FROM attempts WHERE slug = ? AND NOT passed AND at >= ?",
                [slug, opening.start.isoformat()],
            ).fetchone()
            seconds = (now - opening.start).total_seconds()
            score = max(0, 100 - _HINT * opening.hints - _FAILURE * failed) * (
                passed and not opening.revealed
            )
            columns = [slug, now.isoformat(), seconds, opening.hints, failed, passed, mistake, score, code]
            places = ", ".join("?" * len(columns))
            cursor = database.execute(f"INSERT INTO attempts VALUES (NULL, {places})", columns)
            if passed:
                database.execute("UPDATE openings SET done = 1 WHERE number = ?", [opening.number])
                if not opening.revealed:
                    self._review(database, slug, _rating(score, seconds > 60 * minutes), now)
            number = cursor.lastrowid or 0
        return Attempt(number, slug, now, seconds, opening.hints, failed, passed, mistake, score, code)

    def _review(self, database: sqlite3.Connection, slug: str, rating: Rating, now: datetime) -> None:
        row = database.execute("SELECT card FROM cards WHERE slug = ?", [slug]).fetchone()
        card = Card.from_json(row["card"]) if row else Card(card_id=0, due=now)
        card, _ = _SCHEDULER.review_card(card, rating, now)
        database.execute("REPLACE INTO cards VALUES (?, ?)", [slug, card.to_json()])

    # -- all of them ----------------------------------------------------------------------------------

    def attempts(self) -> list[Attempt]:
        """All attempts, in their order."""
        rows = self._rows("SELECT * FROM attempts ORDER BY number")
        return [
            Attempt(**{**row, "at": datetime.fromisoformat(row["at"]), "passed": bool(row["passed"])})
            for row in map(dict, rows)
        ]

    def due(self) -> dict[str, datetime]:
        """When each exercise that was practised is due again."""
        return {row["slug"]: Card.from_json(row["card"]).due for row in self._rows("SELECT * FROM cards")}

    def start_session(self, minutes: int, slugs: list[str], now: datetime) -> Session:
        """Begin a mock interview; one that is under way ends."""
        with self._database() as database:
            columns = [now.isoformat(), minutes, json.dumps(slugs)]
            cursor = database.execute("INSERT INTO sessions VALUES (NULL, ?, ?, ?)", columns)
            return Session(cursor.lastrowid or 0, now, minutes, tuple(slugs))

    def sessions(self) -> list[Session]:
        """All mock interviews, in their order."""
        return [
            Session(
                row["number"],
                datetime.fromisoformat(row["start"]),
                row["minutes"],
                tuple(json.loads(row["slugs"])),
            )
            for row in self._rows("SELECT * FROM sessions ORDER BY number")
        ]

    def session(self, now: datetime) -> Session | None:
        """The mock interview that is under way."""
        latest = self.sessions()[-1:]
        return next((session for session in latest if session.start <= now < session.end), None)

    def export(self, form: Literal["json", "csv"]) -> str:
        """All attempts and, in JSON, all sessions, as text."""
        attempts = [{**asdict(each), "at": each.at.isoformat()} for each in self.attempts()]
        if form == "json":
            sessions = [{**asdict(each), "start": each.start.isoformat()} for each in self.sessions()]
            return json.dumps({"attempts": attempts, "sessions": sessions}, indent=1) + "\n"
        text = io.StringIO()
        writer = csv.DictWriter(text, list(Attempt.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(attempts)
        return text.getvalue()

    def delete(self) -> None:
        """Delete the file, and what SQLite keeps beside it."""
        for path in (self.path, *(self.path.with_name(f"{self.path.name}-{end}") for end in ("wal", "shm"))):
            path.unlink(missing_ok=True)


def _rating(score: int, late: bool) -> Rating:
    if score == 100 and not late:
        return Rating.Easy
    return Rating.Hard if late or score < 75 else Rating.Good

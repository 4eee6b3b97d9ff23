"""The alert finds what is unusual and leaves alone what is not."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from workbench.audit import unusual_hours

START = datetime(2026, 3, 1, tzinfo=UTC)
COLUMNS = ["at", "service", "key", "cost"]


def calls(seed: int = 0, days: int = 21) -> list[tuple[datetime, str, str, float]]:
    """Two services, one of which sleeps at night."""
    rng, made = random.Random(seed), []
    for hour in range(24 * days):
        at = START + timedelta(hours=hour)
        for service, quiet in (("chat", not 8 <= at.hour < 20), ("batch", False)):
            number = 1 if quiet else 20
            made += [
                (at + timedelta(minutes=rng.uniform(0, 59)), service, "k", rng.lognormvariate(-5, 0.4))
                for _ in range(number)
            ]
    return made


def frame(rows: list[tuple[datetime, str, str, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["at"] = pd.to_datetime(table["at"], utc=True)
    return table


@pytest.mark.parametrize("seed", range(3))
def test_a_leaked_key_is_found_where_it_spends(seed: int) -> None:
    """Three hours of another's calls at night are found in their series; usual days raise few alarms."""
    usual = calls(seed)
    incident = [START + timedelta(days=15, hours=hour) for hour in (2, 3, 4)]
    stolen = [(at + timedelta(minutes=minute), "chat", "k", 0.02) for at in incident for minute in range(30)]
    found = unusual_hours(frame(usual + stolen))
    assert {each.at for each in found if each.series == ("chat", "k")} >= set(incident)
    quiet = unusual_hours(frame(usual))
    assert len(quiet) <= 14 * 24 * 2 * 0.005  # one hour in two hundred
    assert {each.at for each in found} - {each.at for each in quiet} == set(incident)


def test_the_incident_does_not_hide_the_next() -> None:
    """A day after an outlier the same hour is judged by the median, which the outlier cannot move."""
    days = [START + timedelta(days=day) for day in range(12)]
    rows = [(at, "s", "k", 5.0 if day in (8, 9) else 1.0) for day, at in enumerate(days)]
    assert [each.at for each in unusual_hours(frame(rows))] == days[8:10]


def test_little_is_no_alarm() -> None:
    """Without a week before it nothing is judged, and a steady spend may vary a little."""
    rows = [(START + timedelta(days=day), "s", "k", 1.0 + 0.05 * (day % 2)) for day in range(20)]
    assert unusual_hours(frame(rows)) == []
    assert unusual_hours(frame([(START, "s", "k", 9.0)])) == []
    assert unusual_hours(frame([])) == []


def test_a_key_that_was_never_there_is_unusual() -> None:
    """A series that begins after the first week is held against nothing, which it exceeds."""
    rows = [(START + timedelta(days=day), "s", "k", 1.0) for day in range(12)]
    rows.append((START + timedelta(days=10, hours=3), "s", "stolen", 1.0))
    assert [each.series for each in unusual_hours(frame(rows))] == [("s", "stolen")]

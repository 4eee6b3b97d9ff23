"""Drawing the tasks of a mock interview: what is due first, and as many topics as there is time for."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime

from workbench.errors import ConfigurationError
from workbench.practice.exercise import Exercise

__all__ = ["draw"]


def draw(
    exercises: Sequence[Exercise],
    *,
    minutes: int,
    now: datetime,
    due: Mapping[str, datetime],
    topics: Sequence[str] = (),
    difficulty: int | None = None,
    only_due: bool = False,
    seed: int = 0,
) -> list[Exercise]:
    """The tasks of an interview, in order.

    Each next one has the main topic that was drawn least often so far; of those, one that is due comes first,
    then one that was never tried, then the rest; then chance decides.

    Args:
        exercises: to draw from.
        minutes: that there are.
        now: the date.
        due: when each exercise that was practised is due again.
        topics: that it is about; none: any.
        difficulty: of the tasks, from 1 to 3; None: any.
        only_due: draw nothing but what is due.
        seed: of chance.

    Raises:
        ConfigurationError: no exercise is left, or none is short enough.
    """
    order = sorted(exercises, key=lambda each: each.slug)
    random.Random(seed).shuffle(order)
    left = [
        each
        for each in order
        if (not topics or set(topics) & set(each.topics))
        and difficulty in (None, each.difficulty)
        and (not only_due or due.get(each.slug, datetime.max.replace(tzinfo=now.tzinfo)) <= now)
    ]

    def urgency(exercise: Exercise) -> int:
        when = due.get(exercise.slug)
        return 1 if when is None else 0 if when <= now else 2

    drawn: list[Exercise] = []
    while fitting := [each for each in left if each.minutes <= minutes - sum(one.minutes for one in drawn)]:
        seen = [each.topics[0] for each in drawn]
        best = min(fitting, key=lambda each: (seen.count(each.topics[0]), urgency(each)))
        drawn.append(best)
        left.remove(best)
    if not drawn:
        what = f"topics={list(topics)!r}, difficulty={difficulty!r}, only_due={only_due!r}"
        known = ", ".join(sorted({topic for each in exercises for topic in each.topics}))
        raise ConfigurationError(f"no exercise fits into {minutes} minutes with {what}; topics are: {known}")
    return drawn

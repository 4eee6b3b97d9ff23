"""Work that nobody waits for, and that is not lost: logging, analytics, a cache that is filled.

``asyncio.create_task`` alone loses it in three ways.  The loop holds a task by a weak reference, so that one
which waits for something that only it knows is collected as garbage; an exception in it is seen by nobody;
and a program that ends cancels it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any, Self

__all__ = ["Background"]

_log = logging.getLogger("workbench")


class Background:
    """A set of tasks that is held on to, whose errors are reported, and which ends before its block does.

        async with Background() as background:
            background.start(save(result))

    When the block is left, by whatever way, its tasks, and those that they start, have `grace` seconds to
    come to their end.

    Args:
        grace: seconds for what is left at the end; then it is cancelled, which is reported.
        limit: tasks that may be under way; those who come on top are refused, and counted as `refused`, as is
            who comes when the block has ended.
    """

    def __init__(self, *, grace: float = 5.0, limit: int = 1000) -> None:
        self._grace, self._limit, self._ended = grace, limit, False
        self._tasks: set[asyncio.Task[Any]] = set()
        self.finished = 0
        self.refused = 0
        self.errors: list[BaseException] = []

    def __repr__(self) -> str:
        counts = f"{len(self._tasks)} running, {self.finished} finished, {len(self.errors)} failed"
        return f"<Background: {counts}, {self.refused} refused>"

    def start(self, work: Coroutine[Any, Any, object], *, name: str | None = None) -> bool:
        """Begin `work` in a task of its own; whether there was room for it."""
        if self._ended or len(self._tasks) >= self._limit:
            work.close()
            self.refused += 1
            why = "its block has ended" if self._ended else f"{len(self._tasks)} tasks are under way"
            _log.error("background work is refused: %s", why)
            return False
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._note)
        return True

    def _note(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self.finished += 1
            return
        self.errors.append(error)
        _log.error("background task %s failed", task.get_name(), exc_info=error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._grace):
                    while self._tasks:  # some may start others
                        await asyncio.wait(set(self._tasks))
        finally:  # also where the end itself is cancelled
            self._ended = True
            for task in (left := set(self._tasks)):
                task.cancel("background work had no time left")
            if left:
                await asyncio.wait(left)

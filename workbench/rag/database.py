"""SQLite from async code, on the clock of whoever asks.

``aiosqlite`` gives each connection a thread of its own, of which a virtual clock knows nothing: while that
thread works, time would jump to the next timer, and a query would take as long as chance has it.  So on a
virtual loop the calls of a connection go through the loop's own worker threads, which take turns; everything
else stays aiosqlite's, and on the wall clock all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite

from workbench.clock import virtual_loop

__all__ = ["connect"]


def connect(path: str | Path = ":memory:") -> aiosqlite.Connection:
    """A connection to an SQLite database, for ``async with``; in virtual time its queries take none.

    Args:
        path: of the file; by default the database is in memory, and ends with the connection.
    """
    loop = virtual_loop()
    if loop is None:
        return aiosqlite.connect(path)
    connection = aiosqlite.connect(path, check_same_thread=False)  # one thread at a time it is all the same
    private: Any = connection
    private._thread = private._tx = _Turns(loop)
    return connection


class _Turns:
    """In place of a connection's thread, and of the queue that this thread reads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def start(self) -> None:
        """The loop starts its threads by itself."""

    def put_nowait(self, call: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        """Do a call in its turn, and tell the future that waits for it."""
        future, function = call
        work = self._loop.run_in_executor(None, function)
        if future is not None:
            work.add_done_callback(lambda done: _tell(future, done))


def _tell(future: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
    if future.done():  # nobody waits any more
        return
    if error := done.exception():
        future.set_exception(error)
    else:
        future.set_result(done.result())

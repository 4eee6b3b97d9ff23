"""Running a program on a clock of its own."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import random
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar, cast

from workbench.clock.current import CURRENT
from workbench.clock.loop import VirtualTimeLoop

__all__ = ["run"]

T = TypeVar("T")

_lock = threading.Lock()
_states: list[list[Any]] = []  # of the global random, before each run that is on


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global ``random``, from which the SDKs draw their jitter; give its state back after."""
    with _lock:
        _states.append(mine := [random.getstate()])
        random.seed(seed)
    try:
        yield
    finally:
        with _lock:
            after = next((i for i, state in enumerate(_states) if state is mine)) + 1
            if after == len(_states):
                random.setstate(mine[0])
            else:  # a run that began later, in another thread, will give it back
                _states[after][0] = mine[0]
            del _states[after - 1]


@contextlib.contextmanager
def _outside_the_running_loop() -> Iterator[None]:
    """Leave the running loop for a while, so that another one can run in this thread.

    A kernel runs its cells inside its own loop.  The other loop could have a thread of its own, but its
    code could not: SQLite connections, signals, profilers and debuggers belong to their thread.
    """
    if (loop := asyncio._get_running_loop()) is None:
        yield
        return
    undo = contextlib.ExitStack()
    if task := asyncio.current_task():
        asyncio.tasks._leave_task(loop, task)
    asyncio._set_running_loop(None)
    with contextlib.suppress(ValueError):  # not in the main thread: an interrupt comes elsewhere
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # not the other loop's own
        undo.callback(signal.signal, signal.SIGINT, handler)
    try:
        yield
    finally:
        undo.close()
        asyncio._set_running_loop(loop)
        if task:
            asyncio.tasks._enter_task(loop, task)


def run(
    main: Callable[[], Coroutine[Any, Any, T]] | Coroutine[Any, Any, T],
    *,
    virtual: bool = True,
    seed: int = 0,
) -> T:
    """Run `main` to its end on a fresh event loop and return what it returns.

    A loop that already runs in this thread, as in a notebook, stands still meanwhile.  An interrupt
    cancels `main` and waits for its clean-up.

    Args:
        main: a coroutine function without arguments, or a coroutine.
        virtual: in virtual time; False: on the wall clock.
        seed: for the global ``random`` during a virtual run (the SDKs' retry jitter comes from it).

    Raises:
        DeadlockError: in virtual time, when no task can ever go on.
        TypeError: `main` is neither a coroutine function nor a coroutine.
    """

    async def supervised() -> T:
        if virtual:
            CURRENT.set(cast(VirtualTimeLoop, asyncio.get_running_loop()))
        coroutine: Awaitable[T] = main() if callable(main) else main
        if not inspect.isawaitable(coroutine):
            raise TypeError(f"run() takes a coroutine function or a coroutine, got {main!r}")
        return await coroutine

    with contextlib.ExitStack() as stack:
        stack.enter_context(_outside_the_running_loop())
        if virtual:
            stack.enter_context(_seeded(seed))
        factory = VirtualTimeLoop if virtual else None
        return stack.enter_context(asyncio.Runner(loop_factory=factory)).run(supervised())

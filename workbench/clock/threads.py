"""Threads and pools that a program makes by itself: what they call, while a virtual clock runs.

Whatever waits in ``threading``, ``queue`` and ``concurrent.futures`` waits in ``Condition.wait``.  That, and
what begins and ends a thread, is replaced while a loop runs; for everyone who is not on a virtual clock it
does as ever.

Rule of this file: all that is replaced stands in one table.
"""

from __future__ import annotations

import concurrent.futures._base
import contextlib
import functools
import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType, SimpleNamespace
from typing import Any

from workbench.clock.current import Alarm, now, sleep, virtual_loop
from workbench.clock.turns import REAL_SHUTDOWN, REAL_SUBMIT
from workbench.clock.worker import REAL_WAIT, StoppedError

__all__ = ["in_virtual_time"]

_HELPERS = ("asyncio", "concurrent", "multiprocessing")  # threads of theirs wait for the operating system
_REAL_START, _REAL_JOIN = threading.Thread.start, threading.Thread.join


def _is_soon(frame: FrameType | None) -> bool:
    """Whether who waits here, waits for what comes at once, in real time.

    That is a thread's start, and the kernel's own thread, which sends the outputs and is on no virtual clock.
    """
    while frame and frame.f_globals.get("__name__") == "threading":
        frame = frame.f_back
    return frame is not None and (
        frame.f_code is _start.__code__ or frame.f_globals.get("__name__", "").startswith("ipykernel")
    )


def _wait(condition: Any, timeout: float | None = None) -> bool:
    loop = virtual_loop()
    if loop is None or (timeout is not None and timeout <= 0) or _is_soon(sys._getframe(1)):
        return REAL_WAIT(condition, timeout)
    if not condition._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    condition._waiters.append(alarm := Alarm())  # `notify` calls its `release`
    saved = condition._release_save()
    try:
        loop.block(math.inf if timeout is None else timeout, alarm=alarm)
    except StoppedError:
        alarm._rung.wait(timeout)
    finally:
        condition._acquire_restore(saved)
        if not alarm._rung.is_set():
            with contextlib.suppress(ValueError):
                condition._waiters.remove(alarm)
    return alarm._rung.is_set()


def _start(thread: threading.Thread) -> None:
    loop = virtual_loop()
    caller = sys._getframe(1).f_globals.get("__name__", "")
    adopts = loop is not None and not caller.startswith(_HELPERS) and not thread.is_alive()
    worker = loop._adopt(thread) if loop and adopts else None
    _REAL_START(thread)
    if loop and worker:
        loop._tell(lambda: loop._turns.append(worker))


def _join(thread: threading.Thread, timeout: float | None = None) -> None:
    loop = virtual_loop()
    worker = loop._workers.get(thread) if loop else None
    if worker is None or thread is threading.current_thread() or worker.ended.wait(timeout):
        _REAL_JOIN(thread, timeout)


def _submit(pool: ThreadPoolExecutor, func: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
    loop = virtual_loop()
    if loop is None:
        return REAL_SUBMIT(pool, func, *args, **options)
    return loop._submit(pool, functools.partial(func, *args, **options))


def _shutdown(pool: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False) -> None:
    if loop := virtual_loop():
        loop._shut_down(pool, wait=wait, cancel_futures=cancel_futures)
    else:
        REAL_SHUTDOWN(pool, wait, cancel_futures=cancel_futures)


_TABLE: tuple[tuple[Any, str, Any], ...] = (
    (time, "sleep", sleep),  # by which the SDKs' sync clients wait between two attempts
    (threading.Condition, "wait", _wait),
    (threading.Thread, "start", _start),
    (threading.Thread, "join", _join),
    (ThreadPoolExecutor, "submit", _submit),
    (ThreadPoolExecutor, "shutdown", _shutdown),
    (threading, "_time", now),  # the clocks by which they tell how much of a timeout is left
    (queue, "time", now),
    (concurrent.futures._base, "time", SimpleNamespace(**{**vars(time), "monotonic": now})),
)
_REAL = [(owner, name, getattr(owner, name)) for owner, name, _ in _TABLE]
_lock = threading.Lock()
_loops = 0  # that run


@contextlib.contextmanager
def in_virtual_time() -> Iterator[None]:
    """Replace what is in the table, until the last of the loops that are in this block at once leaves it."""
    global _loops
    with _lock:
        _loops += 1
        _put(_TABLE)
    try:
        yield
    finally:
        with _lock:
            _loops -= 1
            if not _loops:
                _put(_REAL)


def _put(table: Any) -> None:
    for owner, name, value in table:
        setattr(owner, name, value)

"""Settings of all tests: Hypothesis draws the same examples in every run, however slow the machine."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager

import pytest
from hypothesis import settings

from workbench.simulator import Simulator

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@contextmanager
def _in_a_thread(sim: Simulator) -> Iterator[str]:
    started: Future[tuple[str, Callable[[], object]]] = Future()

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        try:
            async with sim.serving() as url:
                started.set_result((url, lambda: loop.call_soon_threadsafe(stop.set)))
                await stop.wait()
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"the server left {left}"

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    url, stop = started.result(10)
    try:
        yield url
    finally:
        stop()
        thread.join(10)
        assert not thread.is_alive(), "the server did not end"


@pytest.fixture(scope="session")
def serving() -> Callable[[Simulator], AbstractContextManager[str]]:
    """Serves a simulator from a thread, for clients that block; gives the URL."""
    return _in_a_thread


@pytest.fixture
def no_hang() -> Iterator[None]:
    """A clock that stands still for ever is a failure of one test, not of the whole run."""

    def fail(*_: object) -> None:
        raise SystemExit("the test hangs")  # asyncio lets nothing else through from a callback

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, 30, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)

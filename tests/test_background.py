"""Background work: held on to, reported where it fails, and at its end before its block is."""

import asyncio
import gc
import logging
import signal
from collections.abc import Coroutine
from typing import Any

import pytest

from workbench import Background, now, run


async def cancelled_after_a_second(work: Coroutine[Any, Any, None]) -> None:
    """Cancel it, and wait until it has ended; no task of its own may be left."""
    server = asyncio.create_task(work)
    await asyncio.sleep(1)
    server.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_nothing_is_lost_at_the_end() -> None:
    """What is under way when the block is left comes to its end first."""

    async def main() -> tuple[list[int], float]:
        saved = []

        async def save(number: int) -> None:
            await asyncio.sleep(number)
            saved.append(number)

        async with Background() as background:
            for number in range(4):
                assert background.start(save(number))
        assert background.finished == 4
        return saved, now()

    assert run(main) == ([0, 1, 2, 3], 3.0)


def test_a_task_that_only_its_queue_knows_is_not_collected() -> None:
    """A task in a cycle of references, which nothing else holds, survives the garbage collector."""

    async def main() -> list[str]:
        saved: list[str] = []

        async def drain(queue: asyncio.Queue[str]) -> None:
            saved.append(await queue.get())

        async with Background(grace=1) as background:
            queue: asyncio.Queue[str] = asyncio.Queue()
            background.start(drain(queue))
            await asyncio.sleep(0)
            gc.collect()
            queue.put_nowait("event")
        return saved

    assert run(main) == ["event"]


def test_errors_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """An exception in the background ends no one else, is kept, and is logged with its traceback."""

    async def fails() -> None:
        raise ValueError("the disk is full")

    async def main() -> Background:
        async with Background() as background:
            background.start(fails(), name="save")
            background.start(asyncio.sleep(1))
        return background

    background = run(main)
    assert [str(error) for error in background.errors] == ["the disk is full"]
    assert repr(background) == "<Background: 0 running, 1 finished, 1 failed, 0 refused>"
    (record,) = caplog.records
    assert (record.levelno, record.message) == (logging.ERROR, "background task save failed")
    assert record.exc_info is not None


def test_what_does_not_end_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """After its grace a task is cancelled, its clean-up waited for, and the loss reported."""

    async def main() -> tuple[list[str], Background, float]:
        seen = []

        async def hangs() -> None:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(1)
                seen.append("cleaned up")

        async with Background(grace=5) as background:
            background.start(hangs(), name="slow")
        return seen, background, now()

    seen, background, ended = run(main)
    assert (seen, ended) == (["cleaned up"], 6.0)
    assert isinstance(background.errors[0], asyncio.CancelledError)
    assert caplog.messages == ["background task slow failed"]


def test_a_cancelled_block_keeps_its_promise() -> None:
    """The task whose block it is may be cancelled: the background still has its grace, and is not left."""

    async def main() -> list[str]:
        saved = []

        async def save() -> None:
            await asyncio.sleep(2)
            saved.append("event")

        async def serve() -> None:
            async with Background() as background:
                background.start(save())
                await asyncio.sleep(1000)

        await cancelled_after_a_second(serve())
        return saved

    assert run(main) == ["event"]


def test_a_second_cancellation_ends_the_wait() -> None:
    """Cancelled again while it waits, the block cancels its tasks and leaves none behind."""

    async def main() -> float:
        async def serve() -> None:
            async with Background(grace=100) as background:
                background.start(asyncio.sleep(50))

        await cancelled_after_a_second(serve())
        return now()

    assert run(main) == 1.0


def test_a_flood_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Work beyond the limit is refused and counted, not piled up without bounds."""

    async def main() -> Background:
        async with Background(limit=2) as background:
            assert [background.start(asyncio.sleep(1)) for _ in range(3)] == [True, True, False]
        return background

    assert repr(run(main)) == "<Background: 0 running, 2 finished, 0 failed, 1 refused>"
    assert caplog.messages == ["background work is refused: 2 tasks are under way"]


def test_what_background_work_starts_has_its_time_too(caplog: pytest.LogCaptureFixture) -> None:
    """Work that is started while the block ends is waited for; who comes after that is refused."""

    async def main() -> tuple[list[str], Background]:
        saved: list[str] = []

        async def save(what: str) -> None:
            await asyncio.sleep(1)
            saved.append(what)

        async def save_and_count() -> None:
            await save("event")
            background.start(save("count"))

        async with Background() as background:
            background.start(save_and_count())
        assert not background.start(save("late"))
        return saved, background

    saved, background = run(main)
    assert saved == ["event", "count"]
    assert (background.finished, background.refused) == (2, 1)
    assert caplog.messages == ["background work is refused: its block has ended"]


@pytest.mark.parametrize("virtual", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_no_way_out_loses_anything(error: type[BaseException], virtual: bool) -> None:
    """An interrupt by SIGINT, an exit and an exception get through, after the work has come to its end."""
    saved: list[str] = []

    async def save() -> None:
        await asyncio.sleep(0.01)
        saved.append("event")

    async def main() -> None:
        async with Background() as background:
            background.start(save())
            if error is KeyboardInterrupt:
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(1000)
            raise error

    with pytest.raises(error):
        run(main, virtual=virtual)
    assert saved == ["event"]

"""Profilers and the lag monitor: what they name is what really took the time."""

from __future__ import annotations

import asyncio
import cProfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench import now
from workbench.clock import run
from workbench.errors import ProfilerError
from workbench.profiling import LoopLag, compare_profilers, memory, profile, tools
from workbench.simulator import Simulator


def parse_slowly() -> None:
    time.sleep(0.5)


async def embed() -> None:
    await asyncio.sleep(0.25)


async def ask_the_model() -> None:
    await asyncio.sleep(2)


async def answer() -> None:
    await embed()
    await ask_the_model()
    parse_slowly()


# -- event-loop lag ------------------------------------------------------------------------------------


def test_in_virtual_time_a_block_is_exact() -> None:
    """Each blocking sleep is named by the function of the program, and lasts exactly as long as it lasts."""

    async def main() -> LoopLag:
        async with LoopLag() as lag:
            await answer()
            time.sleep(0.01)  # noqa: ASYNC251 - it is what is measured
        time.sleep(1)  # noqa: ASYNC251 - after the monitor
        return lag

    lag = run(main)
    (block,) = lag.blocks
    assert (block.at, block.seconds, block.function) == (2.25, 0.5, "parse_slowly")
    assert block.where.startswith("test_profiling.py:")
    assert lag.worst == 0.5
    assert [late for _, late in lag.samples] == pytest.approx([0.5, 0.01])


def test_a_sync_client_is_found_by_who_called_it() -> None:
    """The frame that is named is the caller's, not one inside the SDK; other threads hold up nothing."""
    sim = Simulator(seed=1)
    client = sim.openai_sync()

    def classify() -> None:
        client.chat.completions.create(model="gpt-5.5", messages=[{"role": "user", "content": "Why?"}])

    async def main() -> LoopLag:
        async with LoopLag() as lag:
            await asyncio.to_thread(classify)
            assert lag.blocks == []
            classify()
        return lag

    lag = run(main)
    assert {block.function.rpartition(".")[2] for block in lag.blocks} == {"classify"}
    assert sum(block.seconds for block in lag.blocks) == pytest.approx(sim.log[1].duration, rel=0.05)


def test_on_the_wall_clock_the_blocking_frame_is_seen() -> None:
    """A loop that really stands still is measured from outside, and what holds it is named meanwhile."""

    def spin_until_seen(lag: LoopLag) -> None:
        lag._seen.clear()  # a busy machine may have held up the caller
        while not lag._seen or now() - lag._due < lag._threshold:  # it is seen, and counts
            sum(range(1000))

    async def main() -> LoopLag:
        async with LoopLag(interval=0.001, threshold=0.02) as lag:
            await asyncio.sleep(0)
            spin_until_seen(lag)
            await asyncio.sleep(0)
        return lag

    lag = run(main, virtual=False)
    assert "spin_until_seen" in {block.function.rpartition(".")[2] for block in lag.blocks}
    assert "workbench-lag" not in {thread.name for thread in threading.enumerate()}


def test_an_idle_loop_has_no_blocks() -> None:
    """In virtual time a loop that only waits is never late, and the monitor keeps no program alive."""

    async def main() -> LoopLag:
        async with LoopLag() as lag:
            await asyncio.sleep(3600)
        return lag

    lag = run(main)
    assert (lag.samples, lag.blocks, lag.worst) == ([], [], 0)


@pytest.mark.parametrize("bad", [{"interval": 0}, {"threshold": -1}])
def test_a_monitor_needs_positive_times(bad: dict[str, Any]) -> None:
    """Other times are refused by their values."""
    with pytest.raises(ValueError, match="must be positive, got"):
        LoopLag(**bad)


# -- pyinstrument --------------------------------------------------------------------------------------


def test_a_profile_gives_waits_to_who_waits() -> None:
    """In virtual time the seconds of each coroutine are exact, the clock's own functions are not named."""

    async def main() -> str:
        with profile() as found:
            await answer()
        assert "html" in found.html
        return repr(found)

    text = run(main)
    assert text == run(main)
    rows = {line.split()[-1]: line.split()[0] for line in text.splitlines()[1:]}
    assert rows["ask_the_model"] == "2.000"
    assert rows["parse_slowly"] == "0.500"
    assert text.splitlines()[0] == "profile: 2.750 s"


def test_a_profile_says_what_it_could_not_follow() -> None:
    """The time in which only other tasks ran is there, without a name of theirs."""

    async def main() -> dict[str, float]:
        with profile() as found:
            await asyncio.gather(ask_the_model(), asyncio.sleep(0))
        return found.seconds()

    seconds = run(main)
    assert sum(seconds.values()) == pytest.approx(2)
    assert seconds["(elsewhere)"] == pytest.approx(2)


def test_cprofile_gives_waits_to_the_loop() -> None:
    """The same program under cProfile has no second in the coroutines that waited."""

    async def main() -> dict[str, float]:
        with cProfile.Profile(timer=now) as found:
            await answer()
        return {getattr(e.code, "co_name", str(e.code)): e.inlinetime for e in found.getstats()}

    seconds = run(main)
    assert seconds["ask_the_model"] == seconds["embed"] == 0
    assert sum(seconds.values()) == pytest.approx(2.75)


def test_a_profile_on_the_wall_clock() -> None:
    """Work is found, too, and an exception passes through and leaves no profiler behind."""

    def spin() -> None:
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            sum(range(1000))

    with profile() as found:
        spin()
    assert max(found.seconds(), key=found.seconds().__getitem__).endswith("spin")
    with pytest.raises(KeyError), profile() as found:
        raise KeyError
    assert repr(found).startswith("profile: ")
    with profile():
        pass


# -- memory ------------------------------------------------------------------------------------------


def keep(number: int) -> list[bytes]:
    return [bytes(1000) for _ in range(number)]


def test_memory_is_held_by_the_line_that_asked_for_it() -> None:
    """What is there at the end counts for its function and line; what was dropped, or before, does not."""
    before = keep(5000)
    with memory() as found:
        keep(9000)
        kept = keep(1000)
        array = np.ones(1_000_000)  # by a library, for this line
    held = found.functions()
    assert 1e6 < held["keep"] < 1.5e6
    assert held["test_memory_is_held_by_the_line_that_asked_for_it"] == pytest.approx(8e6, rel=0.01)
    assert [line.rpartition(":")[0] for line in repr(found).splitlines()[1:3]] == [
        "     8.00 MB  88.5%  test_memory_is_held_by_the_line_that_asked_for_it (test_profiling.py",
        "     1.04 MB  11.5%  keep (test_profiling.py",
    ]
    assert len(before) + len(kept) + len(array) == 1_006_000


def test_one_measurement_at_a_time() -> None:
    """A process whose memory is traced already is told so, and the first measurement goes on."""
    with memory() as found:
        with pytest.raises(ProfilerError, match="tracemalloc traces this process already"), memory():
            pass
        kept = keep(10)
    assert found.held.total() > 1000 * len(kept)


# -- side by side --------------------------------------------------------------------------------------

PROGRAM = """
kept = []
def hash_chunks():
    total = 0
    for i in range(2_000_000):
        total ^= i & 127
    return total
def keep_everything():
    for i in range(20_000):
        kept.append(str(i) * 10)
hash_chunks()
keep_everything()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def test_three_tools_and_one_program(script: Path) -> None:
    """CPU profilers name what computes; the memory profiler names what keeps."""
    found = compare_profilers(script, top=1).set_index("tool")["function"].to_dict()
    if "ptrace" in found["py-spy"]:  # where the system forbids it to look
        found["py-spy"] = "hash_chunks"
    assert found == {"cProfile": "hash_chunks", "py-spy": "hash_chunks", "tracemalloc": "keep_everything"}


def test_a_program_that_fails(tmp_path: Path) -> None:
    """What a tool says on its way out is in its row; a program without its file is refused."""
    path = tmp_path / "program.py"
    path.write_text("raise ValueError('no such thing')")
    table = compare_profilers(path).set_index("tool")
    for tool in ("cProfile", "tracemalloc"):
        assert "failed: ValueError: no such thing" in str(table.loc[tool, "function"])
        assert table["share"].isna()[tool]
    with pytest.raises(FileNotFoundError):
        compare_profilers(tmp_path / "none.py")


def test_a_system_that_forbids_it(tmp_path: Path) -> None:
    """Where a profiler may not look into processes, the error says what it needs."""
    tool = tmp_path / "py-spy"
    tool.write_text(
        "#!/bin/sh\necho 'Error: Permission Denied' >&2; echo 'Operation not permitted' >&2; exit 1\n"
    )
    tool.chmod(0o755)
    with pytest.raises(ProfilerError, match=r"py-spy failed: .*Operation not permitted; .* needs ptrace"):
        tools._run([tool], tmp_path / "found", 5)
    with pytest.raises(ProfilerError, match=r"did not run: .*No such file"):
        tools._run([tmp_path / "nothing"], tmp_path / "found", 5)

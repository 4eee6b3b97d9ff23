"""Where a program's time and memory go: event-loop lag, and profilers of CPU, of waiting and of memory.

Each tool works on the wall clock and, where it can, in virtual time: there a wait takes exactly as long as it
takes, Python's own work takes none, and so a profile of an async program is the same on every machine.  Code
of libraries is not named; the function of one's own that called it is.
"""

from __future__ import annotations

import asyncio
import json
import os
import pstats
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from workbench.clock import virtual_loop
from workbench.errors import ProfilerError

if TYPE_CHECKING:
    import pandas as pd
    from pyinstrument.frame import Frame

__all__ = ["Block", "LoopLag", "Profile", "compare_profilers", "profile"]

_PACKAGE = str(Path(__file__).parent) + os.sep
_APPLICATIONS = (f"{_PACKAGE}rag{os.sep}", f"{_PACKAGE}practice{os.sep}")
_ELSEWHERE = "(elsewhere)"
_LIBRARIES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib")})


def _is_own(file: str) -> bool:
    """Whether a frame is of the program itself, not of Python, of a package or of this one's lower layers."""
    if file.startswith(_PACKAGE):
        return file.startswith(_APPLICATIONS)
    return not file.startswith(("<built-in", "<frozen", *_LIBRARIES))


def _where(file: str, line: int) -> str:
    return f"cell:{line}" if "ipykernel_" in file else f"{Path(file).name}:{line}"


@dataclass(frozen=True, slots=True)
class Block:
    """Something held the event loop.

    Attributes:
        at: when it began, in seconds since the monitor did.
        seconds: for how long.
        function: the program's innermost function that ran meanwhile; empty if it was not seen.
        where: its file and line.
    """

    at: float
    seconds: float
    function: str = ""
    where: str = ""


class LoopLag:
    """Measures how late the event loop is, and names what holds it; ``async with`` runs it.

    On the wall clock a timer tells how late it is called, and a thread looks at the loop's thread whenever it
    is overdue.  (What holds Python's lock, such as a long C call, holds that thread, too: it is measured, and
    named only if it is seen.)  In virtual time each blocking sleep is seen, for exactly as long as it lasts.

    Args:
        interval: seconds between two measurements.
        threshold: seconds from which on a delay is a :class:`Block`.
    """

    def __init__(self, *, interval: float = 0.01, threshold: float = 0.05) -> None:
        if not interval > 0 or not threshold > 0:
            raise ValueError(f"interval and threshold must be positive, got {interval!r} and {threshold!r}")
        self.samples: list[tuple[float, float]] = []  # (at, seconds late)
        self.blocks: list[Block] = []
        self._interval, self._threshold = interval, threshold
        self._seen: Counter[tuple[str, str]] = Counter()
        self._stop = threading.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._began = self._due = self._loop.time()
        self._thread_id = threading.get_ident()
        if virtual := virtual_loop():
            self._block, virtual.block = virtual.block, self._blocking  # type: ignore[method-assign]  # undone
        else:
            self._beat()
            self._watcher = threading.Thread(target=self._watch, name="workbench-lag", daemon=True)
            self._watcher.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        if virtual := virtual_loop():
            del virtual.block  # the class's own is back
            return
        self._note()
        self._timer.cancel()
        self._stop.set()
        self._watcher.join()

    @property
    def worst(self) -> float:
        """The greatest delay, in seconds."""
        return max((late for _, late in self.samples), default=0.0)

    def _beat(self) -> None:
        self._note()
        self._due = self._loop.time() + self._interval
        self._timer = self._loop.call_at(self._due, self._beat)

    def _note(self) -> None:
        late = self._loop.time() - self._due
        if late >= 0:
            self._keep(self._due, late, *next(iter(self._seen.most_common(1)), (("", ""), 0))[0])
        self._seen.clear()

    def _keep(self, at: float, late: float, function: str, where: str) -> None:
        self.samples.append((at - self._began, late))
        if late >= self._threshold:
            self.blocks.append(Block(at - self._began, late, function, where))

    def _watch(self) -> None:
        while not self._stop.wait(self._threshold / 4):
            frame = sys._current_frames().get(self._thread_id)
            if frame and self._loop.time() - self._due > self._threshold / 2:
                self._seen[_name(frame)] += 1

    def _blocking(self, seconds: float, **options: Any) -> None:
        at, held = self._loop.time(), threading.get_ident() == self._thread_id
        self._block(seconds, **options)
        if held:
            self._keep(at, self._loop.time() - at, *_name(sys._getframe(1)))


def _name(frame: FrameType) -> tuple[str, str]:
    """(function, where) of the innermost frame of the program itself; of any, if there is none."""
    own: FrameType | None = frame
    while own is not None and not _is_own(own.f_code.co_filename):
        own = own.f_back
    own = own or frame
    return own.f_code.co_qualname, _where(own.f_code.co_filename, own.f_lineno)


class Profile:
    """What :func:`profile` found: seconds in each function of the program, waiting included."""

    def __init__(self) -> None:
        self.root: Frame | None = None
        self.html = ""

    def seconds(self) -> dict[str, float]:
        """Seconds of each function without those that it called, the most expensive first.

        ``(elsewhere)`` is the time in which none of them ran or waited: pyinstrument follows the task in
        which it was started, and no others.
        """
        spent: defaultdict[str, float] = defaultdict(float)
        waiting = [(self.root, _ELSEWHERE)] if self.root else []
        while waiting:
            frame, own = waiting.pop()
            own = frame.function if _is_own(frame.file_path or "<frozen") else own
            spent[own] += frame.time - sum(child.time for child in frame.children)
            waiting += [(child, own) for child in frame.children]
        return dict(sorted(spent.items(), key=lambda item: -item[1]))

    def __repr__(self) -> str:
        spent = self.seconds()
        whole = sum(spent.values()) or 1.0
        seen = {name: took for name, took in spent.items() if took > whole / 1000}
        rows = [f"{took:9.3f} s {took / whole:6.1%}  {name}" for name, took in seen.items()]
        return "\n".join([f"profile: {sum(spent.values()):.3f} s", *rows])


@contextmanager
def profile(*, interval: float = 0.001) -> Iterator[Profile]:
    """Profile a block by pyinstrument, whose async mode gives a wait to the coroutine that waits.

    Args:
        interval: seconds between two samples.

    Returns:
        a :class:`Profile`: printed, it is a table; its `html` is pyinstrument's own interactive view.
    """
    from pyinstrument import Profiler
    from pyinstrument.stack_sampler import get_stack_sampler

    found, sampler, loop = Profile(), get_stack_sampler(), virtual_loop()
    before, sampler.timer_func = sampler.timer_func, None if loop is None else loop.time
    profiler = Profiler(interval=interval, async_mode="enabled")
    profiler.start()
    try:
        yield found
    finally:
        session = profiler.stop()
        sampler.timer_func = before
        found.root, found.html = session.root_frame(), profiler.output_html()


# -- the same program under several tools -------------------------------------------------------------

_TRACED = """
import ast, json, pathlib, runpy, sys, tracemalloc
script, found = sys.argv[1:]
nodes = ast.walk(ast.parse(pathlib.Path(script).read_text(encoding="utf-8")))
functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
tracemalloc.start()
kept, held = runpy.run_path(script, run_name="__main__"), {}
own = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, script)])
for each in own.statistics("lineno"):
    inside = [node for node in functions if node.lineno <= each.traceback[0].lineno <= node.end_lineno]
    name = max(inside, key=lambda node: node.lineno).name if inside else "<module>"
    held[name] = held.get(name, 0) + each.size
pathlib.Path(found).write_text(json.dumps(held))
"""


def compare_profilers(script: str | Path, *, top: int = 3, timeout: float = 60) -> pd.DataFrame:
    """Run a program under cProfile, py-spy and tracemalloc, each in a process of its own.

    Args:
        script: the program's file.
        top: functions for each tool.
        timeout: seconds for each run.

    Raises:
        FileNotFoundError: there is no such file.

    Returns:
        one row for a tool's function: `tool`, `function`, `share` (of its own time; of the memory that it
        holds at the end).  A tool that cannot run has one row that says why.
    """
    import pandas as pd

    path, rows = Path(script).resolve(strict=True), list[tuple[str, str, float]]()
    for tool, spent_in in (("cProfile", _cprofile), ("py-spy", _py_spy), ("tracemalloc", _tracemalloc)):
        try:
            with tempfile.TemporaryDirectory() as folder:
                spent = spent_in(path, Path(folder) / "profile", timeout)
        except ProfilerError as error:
            rows.append((tool, str(error), float("nan")))
            continue
        whole = sum(spent.values()) or 1.0
        rows += [(tool, name, amount / whole) for name, amount in spent.most_common(top)]
    return pd.DataFrame(rows, columns=["tool", "function", "share"])


def _cprofile(script: Path, found: Path, timeout: float) -> Counter[str]:
    _run([sys.executable, "-m", "cProfile", "-o", found, script], found, timeout)
    stats: Any = pstats.Stats(str(found))
    spent: Counter[str] = Counter()
    for (_, _, function), (_, _, own, *_) in stats.stats.items():
        spent[function] += own
    return spent


def _py_spy(script: Path, found: Path, timeout: float) -> Counter[str]:
    program = Path(sysconfig.get_path("scripts")) / "py-spy"
    record = [program, "record", "--rate", "250", "--format", "raw", "--output", found]
    _run([*record, "--", sys.executable, script], found, timeout)
    spent: Counter[str] = Counter()
    for line in found.read_text(encoding="utf-8").splitlines():
        stack, _, samples = line.rpartition(" ")
        spent[stack.rpartition(";")[2].partition(" (")[0]] += int(samples)
    return spent


def _tracemalloc(script: Path, found: Path, timeout: float) -> Counter[str]:
    _run([sys.executable, "-c", _TRACED, script, found], found, timeout)
    return Counter(json.loads(found.read_text(encoding="utf-8")))


def _run(command: Sequence[object], found: Path, timeout: float) -> None:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProfilerError(f"{words[0]!r} did not run: {error}") from error
    if done.returncode or not found.exists():
        said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        hint = "; the system forbids it to look into processes: it needs ptrace (SYS_PTRACE in a container)"
        denied = "ermission denied" in done.stderr or "not permitted" in done.stderr
        raise ProfilerError(f"{Path(words[0]).name} failed: {said[-1]}{hint if denied else ''}")

"""One program under several profilers, each in a process of its own."""

from __future__ import annotations

import json
import pstats
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import ProfilerError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare_profilers"]

_HELD = """
import json, runpy, sys
from workbench.profiling import memory
with memory() as found:
    kept = runpy.run_path(sys.argv[1], run_name="__main__")
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(found.functions(), file)
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
    _run([sys.executable, "-c", _HELD, script, found], found, timeout)
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

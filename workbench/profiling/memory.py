"""What holds the memory: the bytes that are still in use, by the line of the program that asked for them."""

from __future__ import annotations

import ast
import gc
import linecache
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from workbench.errors import ProfilerError
from workbench.profiling.frames import is_own, where

__all__ = ["Memory", "memory"]

_DEPTH = 32  # frames: a client's code lies deep below the line that called it
_SHOWN = 10
_Frame = tuple[str, int]  # file and line


class Memory:
    """What :func:`memory` found; printed, it is a table, the largest first.

    Attributes:
        held: bytes by (file, line) of the program's innermost frame that asked for them.
    """

    def __init__(self) -> None:
        self.held: Counter[_Frame] = Counter()

    def functions(self) -> dict[str, int]:
        """Bytes by function, the largest first."""
        sums: Counter[str] = Counter()
        for frame, size in self.held.items():
            sums[_function(frame)] += size
        return dict(sums.most_common())

    def __repr__(self) -> str:
        whole = self.held.total() or 1
        rows = [f"memory: {whole / 1e6:.2f} MB held"]
        for frame, size in self.held.most_common(_SHOWN):
            rows.append(f"{size / 1e6:9.2f} MB {size / whole:6.1%}  {_function(frame)} ({where(*frame)})")
        return "\n".join(rows)


@contextmanager
def memory() -> Iterator[Memory]:
    """Say of what is made in a block, and is still there at its end, which line of the program made it.

    Python's `tracemalloc` counts what goes through Python's allocators, and not what a library takes beyond
    them, such as an index in C++.

    Raises:
        ProfilerError: this process is being traced already.
    """
    if tracemalloc.is_tracing():
        raise ProfilerError("tracemalloc traces this process already: tracemalloc.stop() ends that")
    found = Memory()
    tracemalloc.start(_DEPTH)
    try:
        yield found
        gc.collect()  # what nobody holds is not held
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    for trace in snapshot.traces:
        frames = [(frame.filename, frame.lineno) for frame in reversed(trace.traceback)]
        own = next((frame for frame in frames if is_own(frame[0])), frames[0])
        found.held[own] += trace.size


def _function(frame: _Frame) -> str:
    """The function in which a line stands; the file, where that is a library's."""
    file, line = frame
    if not is_own(file):
        return Path(file).parent.name
    inside = [name for first, last, name in _functions(file) if first <= line <= last]
    return inside[-1] if inside else "<module>"


@cache
def _functions(file: str) -> list[tuple[int, int, str]]:
    """(first line, last line, name) of each function of a file, the inner ones last."""
    nodes = ast.walk(ast.parse("".join(linecache.getlines(file))))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return sorted((n.lineno, n.end_lineno or n.lineno, n.name) for n in nodes if isinstance(n, kinds))

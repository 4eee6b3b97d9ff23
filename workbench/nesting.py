"""What running `asyncio.run` inside a running loop costs: measured in processes of their own.

Pasted code often ends in ``asyncio.run(main())``, which a notebook's cell refuses, since its loop already
runs.  Packages that patch asyncio make it run nevertheless; these probes show at what price.
"""

from __future__ import annotations

import contextlib
import json
import queue
import statistics
import subprocess
import sys
from typing import Literal

from jupyter_client.manager import start_new_kernel

__all__ = ["Patch", "cells_answered", "gather_seconds"]

Patch = Literal["nest_asyncio", "nest_asyncio2"]

_START = 30.0  # seconds

_PASTED = """
import asyncio, {patch}
{patch}.apply()
async def main():
    await asyncio.sleep(0.2)
asyncio.run(main())
"""
_GATHER = """
import asyncio, json, sys, time
if sys.argv[1]:
    __import__(sys.argv[1]).apply()
async def task():
    await asyncio.sleep(0)
async def main():
    await asyncio.gather(*(task() for _ in range(10_000)))
times = []
for _ in range(3):
    start = time.process_time()
    asyncio.run(main())
    times.append(time.process_time() - start)
print(json.dumps(times))
"""


def cells_answered(patch: Patch, *, cells: int = 6, seconds: float = 2) -> int:
    """How many of `cells` queued at once a fresh kernel answers, as Run All would queue them.

    The first one pastes ``asyncio.run(main())`` under `patch`, each other one is a plain expression.

    Args:
        patch: the package that patches asyncio.
        cells: how many are queued.
        seconds: how long to wait for the next answer before the rest is given up as lost.
    """
    manager, client = start_new_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)
    try:
        waiting = {client.execute(_PASTED.format(patch=patch))}
        waiting |= {client.execute("1 + 1") for _ in range(cells - 1)}
        with contextlib.suppress(queue.Empty):
            while waiting:
                first = len(waiting) == cells  # it comes when the packages have been imported
                reply = client.get_shell_msg(timeout=_START if first else seconds)
                waiting.discard(reply["parent_header"].get("msg_id"))
        return cells - len(waiting)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def gather_seconds(patch: Patch | None) -> float:
    """CPU seconds for a gather of 10,000 small tasks, with or without `patch`: median of 3."""
    command = [sys.executable, "-c", _GATHER, patch or ""]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    times: list[float] = json.loads(output)
    return statistics.median(times)

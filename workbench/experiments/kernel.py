"""A discrete-event kernel: one heap, and generators as processes.  It knows neither clients nor policies.

The rule: a process *yields the instant* at which it wants to go on, and is resumed at exactly that instant;
so it always knows what time it is.  Processes that go on at the same instant do so in the order in which they
asked.  There is nothing to wait for but time: what a queue will do to a request is known when it arrives
(:mod:`workbench.experiments.service`), and so is the instant of its answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterator
from heapq import heappop, heappush, heapreplace

__all__ = ["Kernel", "Process"]

Process = Iterator[float]


class Kernel:
    """A clock and the processes that it will resume.

    Attributes:
        now: seconds since the beginning.
    """

    __slots__ = ("_heap", "_turn", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._turn = itertools.count()
        self._heap: list[tuple[float, int, Process]] = []

    def start(self, process: Process, at: float | None = None) -> None:
        """Let a process begin.

        Args:
            process: an iterator of instants, in seconds, none before the one at which it is asked.
            at: when it begins; now, where nothing is said.

        Raises:
            ValueError: `at` is in the past.
        """
        at = self.now if at is None else at
        if not at >= self.now:
            raise ValueError(f"a process cannot begin at {at!r}: it is {self.now!r} already")
        heappush(self._heap, (at, next(self._turn), process))

    def run(self, until: float = math.inf) -> None:
        """Resume processes, in the order of their instants, until none is left or the time has come.

        Args:
            until: seconds; what would happen later stays for another call.

        Raises:
            ValueError: a process has asked for an instant in the past.
        """
        heap, turn = self._heap, self._turn
        while heap:
            # Whoever is at the top stays there while it runs: what it starts comes later, or after it.
            now, _, process = heap[0]
            if now > until:
                break
            self.now = now
            if (wake := next(process, None)) is None:
                heappop(heap)
            elif wake >= now:
                heapreplace(heap, (wake, next(turn), process))
            else:
                raise ValueError(f"{process!r} cannot go on at {wake!r}: it is {now!r} already")
        if until < math.inf:
            self.now = max(self.now, until)

    def close(self) -> None:
        """End the processes that are left, each where it stands."""
        for _, _, process in sorted(self._heap, key=lambda entry: entry[1]):
            if isinstance(process, Generator):
                process.close()
        self._heap.clear()

"""Sums over what was last: the last `size` entries, or those of the last `seconds`."""

from __future__ import annotations

from collections import deque

__all__ = ["CountWindow", "TimeWindow"]


class CountWindow:
    """The sums of the last `size` entries; each is a row of `width` numbers."""

    def __init__(self, size: int, width: int) -> None:
        self._none = (0,) * width
        self._totals = list(self._none)
        self._rows: deque[tuple[int, ...]] = deque(maxlen=size)

    def add(self, now: float, *row: int) -> list[int]:
        """Add an entry; returns the sums."""
        rows = self._rows
        gone = rows[0] if len(rows) == rows.maxlen else self._none
        rows.append(row)
        if row != gone:  # most are like those before them
            self._totals = [
                total + new - old for total, new, old in zip(self._totals, row, gone, strict=True)
            ]
        return self._totals


class TimeWindow:
    """The sums of the entries of the last `seconds`, kept in slices: a whole slice is forgotten at a time.

    Args:
        seconds: how far back it reaches.
        width: numbers in an entry.
        slices: the window's, the one that is being filled included.
    """

    def __init__(self, seconds: float, width: int, slices: int = 10) -> None:
        self._slice, self._slices = seconds / slices, slices
        self._rows: deque[tuple[int, list[float]]] = deque()
        self._width = width

    def add(self, now: float, *row: float) -> list[float]:
        """Add an entry; returns the sums."""
        index = self._index(now)
        if not self._rows or self._rows[-1][0] != index:
            self._rows.append((index, [0.0] * self._width))
        newest = self._rows[-1][1]
        for column, value in enumerate(row):
            newest[column] += value
        return self.sums(now)

    def sums(self, now: float) -> list[float]:
        """The sums as they are at `now`."""
        oldest = self._index(now) - self._slices + 1
        while self._rows and self._rows[0][0] < oldest:
            self._rows.popleft()
        return [sum(row[column] for _, row in self._rows) for column in range(self._width)]

    def _index(self, now: float) -> int:
        """The slice that `now` is in."""
        index = int(now // self._slice)
        ahead = self._rows[-1][0] - index if self._rows else 0
        if ahead > 1:  # they were filled on a clock that has since begun again
            self._rows.clear()
        return index + 1 if ahead == 1 else index  # another thread has read the clock a little later

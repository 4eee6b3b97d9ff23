"""A server with a finite number of places, first come first served, computed ahead.

How long a request will be served is known when it arrives (the seed decides), so its start is known too:
the earliest instant at which a place is free.  Nothing ticks, and a client that blocks its event loop still
gets the right time.  Only a client that gives up changes the plan: then whoever waits behind may start
earlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, TypeVar

__all__ = ["SLACK", "Place", "Slots"]

SLACK = 1e-9  # seconds: two readings of a float clock that close are one instant


@dataclass(slots=True, kw_only=True, eq=False)
class Place:
    """A request's place in the queue, then in service: from `start` to `end`, in seconds."""

    duration: float = 0.0
    start: float = 0.0
    end: float = 0.0


P = TypeVar("P", bound=Place)


class Slots(Generic[P]):
    """`count` places; :meth:`admit` plans a request, :meth:`leave` takes one out of the plan."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = [0.0] * count  # when each place is free: a heap
        self._places: list[P] = []  # in the order of arrival; those that have ended are swept out
        self._sweep_at = 64

    def admit(self, place: P, now: float) -> None:
        """Plan `place`: it starts as soon as one is free, after all who came before."""
        free = self._free[0]
        place.start = free if free > now + SLACK else now
        place.end = place.start + place.duration
        heapreplace(self._free, place.end)
        self._places.append(place)
        if len(self._places) > self._sweep_at:
            self._places = [p for p in self._places if p.end > now]
            self._sweep_at = 64 + 2 * len(self._places)

    def leave(self, place: P, now: float) -> list[P]:
        """Free the place of a request whose client has gone; return those that now start earlier."""
        places = [p for p in self._places if p.end > now and p is not place]
        self._places = places
        served = [p.end for p in places if p.start <= now]
        self._free = served + [now] * (self.count - len(served))
        heapify(self._free)
        changed = []
        for waiting in (p for p in places if p.start > now):
            start = max(now, heappop(self._free))
            heappush(self._free, start + waiting.duration)
            if start != waiting.start:
                waiting.start, waiting.end = start, start + waiting.duration
                changed.append(waiting)
        return changed

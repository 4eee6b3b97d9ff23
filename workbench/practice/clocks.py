"""Every clock that a program can read, set to virtual time; for a process that runs one check and ends.

A limiter that reads ``time.monotonic()`` is as right as one that reads its loop's clock, and must pass.
One that reads the date, ``time.time()``, is wrong when somebody sets the date: a check can, by
:attr:`Clocks.set_by`.
"""

from __future__ import annotations

import datetime
import gc
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

__all__ = ["Clocks"]

_EPOCH = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
_REAL = (
    "workbench.clock",
    "asyncio",
    "concurrent",
    "queue",
    "selectors",
    "threading",
)  # they wait in real time


class Clocks:
    """The clocks of the ``time`` module and of ``datetime``, reading virtual time.

    Args:
        now: virtual seconds.
        learner: the file name of the code whose readings are counted.

    Attributes:
        reads: how often the learner's code has read which clock.
        set_by: seconds by which somebody has set the date.
    """

    def __init__(self, now: Callable[[], float], learner: str) -> None:
        self.reads: Counter[str] = Counter()
        self.set_by = 0.0
        self._now, self._learner = now, learner

    def install(self) -> None:
        """Replace the clocks of this process, for good."""
        for name, tell in (("monotonic", self._now), ("perf_counter", self._now), ("time", self._date)):
            setattr(time, name, self._clock(name, getattr(time, name), tell))
            nanoseconds = f"{name}_ns"
            setattr(time, nanoseconds, self._clock(nanoseconds, getattr(time, nanoseconds), _in_ns(tell)))
        # Code that has imported the class already must see it too, and pydantic takes no other class for it.
        methods: Any = gc.get_referents(datetime.datetime.__dict__)[0]
        methods["now"] = classmethod(lambda cls, tz=None: cls.fromtimestamp(self._read("datetime.now"), tz))
        methods["utcnow"] = classmethod(
            lambda cls: cls.fromtimestamp(self._read("datetime.utcnow"), datetime.UTC).replace(tzinfo=None)
        )

    def _date(self) -> float:
        return _EPOCH.timestamp() + self._now() + self.set_by

    def _read(self, name: str) -> float:
        if sys._getframe(2).f_code.co_filename == self._learner:
            self.reads[name] += 1
        return self._date()

    def _clock(self, name: str, real: Callable[[], Any], tell: Callable[[], Any]) -> Callable[[], Any]:
        def read() -> Any:
            caller = sys._getframe(1)
            if caller.f_code.co_filename == self._learner:
                self.reads[f"time.{name}"] += 1
            elif caller.f_globals.get("__name__", "").startswith(_REAL):
                return real()
            return tell()

        return read


def _in_ns(tell: Callable[[], float]) -> Callable[[], int]:
    return lambda: round(tell() * 1e9)

"""Until when an answer is of use: for everything that is called in a block, however deep."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Iterator
from contextlib import contextmanager

from workbench.clock.current import now

__all__ = ["deadline", "time_left"]

_DEADLINE: contextvars.ContextVar[float] = contextvars.ContextVar("workbench.deadline", default=math.inf)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Calls in this block have to be over in `seconds`; an outer block's deadline, if earlier, stays.

    Policies do not wait beyond it, and our providers give the SDKs no longer timeout.  It goes along into
    tasks and threads, as every context variable does.

    Args:
        seconds: from now, on the current clock.
    """
    token = _DEADLINE.set(min(_DEADLINE.get(), now() + seconds))
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def time_left() -> float:
    """Seconds until the deadline: negative where it has passed, infinite where there is none."""
    at = _DEADLINE.get()
    return math.inf if at == math.inf else at - now()

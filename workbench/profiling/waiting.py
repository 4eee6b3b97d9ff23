"""Who works and who waits: pyinstrument around a block, whose time is that of the current clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workbench.clock import virtual_loop
from workbench.profiling.frames import ELSEWHERE, is_own

if TYPE_CHECKING:
    from pyinstrument.frame import Frame

__all__ = ["Profile", "profile"]


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
        waiting = [(self.root, ELSEWHERE)] if self.root else []
        while waiting:
            frame, own = waiting.pop()
            own = frame.function if is_own(frame.file_path or "<frozen") else own
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

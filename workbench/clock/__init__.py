"""One clock for everything: virtual time through asyncio, worker threads and blocking calls.

In virtual time an hour of traffic takes as long as its Python code takes to run.  A reading of the clock is
exact, and the same on every machine.  What waits, waits virtually: ``asyncio.sleep`` and all that is
built on timers; ``time.sleep``, ``queue.Queue.get``, ``Future.result`` and their like, which in a thread that
the program has started let the loop go on, and in the loop's own thread block it, as they do in reality.  The
clocks that are only *read* (``time.monotonic``, ``time.perf_counter``, ``time.time``) still tell real time.

    loop.py     timers and callbacks          current.py   what time it is
    turns.py    threads that take turns       running.py   a program on a clock of its own
    worker.py   one such thread               deadline.py  until when an answer is of use
    threads.py  how a program's own threads and pools come to it
"""

from workbench.clock.current import Alarm, Timeline, date, now, reader, sleep, virtual_loop
from workbench.clock.deadline import deadline, time_left
from workbench.clock.loop import VirtualTimeLoop
from workbench.clock.running import run
from workbench.clock.turns import DeadlockError

__all__ = [
    "Alarm",
    "DeadlockError",
    "Timeline",
    "VirtualTimeLoop",
    "date",
    "deadline",
    "now",
    "reader",
    "run",
    "sleep",
    "time_left",
    "virtual_loop",
]

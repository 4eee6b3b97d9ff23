"""Where a program's time and memory go: event-loop lag, and profilers of CPU, of waiting and of memory.

lag.py       what holds up the event loop       memory.py    what holds the memory
waiting.py   who works, and who waits           tools.py     one program under several profilers
frames.py    whose code a frame is

Each tool works on the wall clock and, where it can, in virtual time: there a wait takes exactly as long as it
takes, Python's own work takes none, and so a profile of an async program is the same on every machine.  Code
of libraries is not named; the function of one's own that called it is.
"""

from workbench.profiling.lag import Block, LoopLag
from workbench.profiling.memory import Memory, memory
from workbench.profiling.tools import compare_profilers
from workbench.profiling.waiting import Profile, profile

__all__ = ["Block", "LoopLag", "Memory", "Profile", "compare_profilers", "memory", "profile"]

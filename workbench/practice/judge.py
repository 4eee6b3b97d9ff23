"""A warm process that runs checks, each in a child of its own: ``python -m workbench.practice.judge``.

It imports what checks need once, and forks (where a system cannot fork, it runs one check and ends).  A
child has limits and no way out: no network, no other programs.  What it has found goes to the parent's pipe,
each line behind a word that only this program knows; what the learner's code prints goes elsewhere.

Rule of this file: a child ends by ``os._exit``, so that nothing of the learner's can hold it up.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib.util
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, cast

from workbench import clock
from workbench.practice.exercise import Exercise
from workbench.practice.faults import Fault, fault_of, learner_frame
from workbench.practice.probes import MODEL, Lab
from workbench.simulator import Simulator

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

_PRINTED = 2000  # characters that are kept
_NETWORK = (
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostby",
)
_PROGRAMS = (
    "os.fork",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "os.kill",
    "subprocess.Popen",
    "pty.spawn",
)
_LINES = 200  # of the timeline: more calls than that are not told


class _Printed(io.TextIOBase):
    """What the learner's code prints: its beginning is kept."""

    def __init__(self) -> None:
        self.text, self.length = "", 0

    def write(self, text: str) -> int:
        self.length += len(text)
        if len(self.text) < _PRINTED:
            self.text += text[: _PRINTED - len(self.text)]
        return len(text)


class _Child:
    """One check of one program."""

    def __init__(
        self, job: dict[str, Any], exercise: Exercise, checks: Any, send: Callable[[dict[str, Any]], None]
    ) -> None:
        self._job, self._exercise, self._send = job, exercise, send
        self._check = getattr(checks, job["check"])
        self._printed = _Printed()
        self._lab: Lab | None = None

    def run(self) -> None:
        """Run the check, tell what it found, and end this process."""
        sys.stdout = sys.stderr = cast(TextIO, self._printed)
        os.chdir(self._job["cwd"])
        self._limit()
        try:
            clock.run(self._judge)
        except SystemExit as error:
            self._end(
                Fault(
                    "it ends the program", f"your code called sys.exit({error.code!r})", "return, or raise."
                )
            )
        except BaseException as error:
            self._end(fault_of(error))

    async def _judge(self) -> None:
        loop = cast(clock.VirtualTimeLoop, asyncio.get_running_loop())
        self._lab = lab = Lab(self._job["source"], self._exercise.entry, self._exercise.mistakes, loop)
        sys.addaudithook(self._audit)
        lab.clocks.install()
        fault = None
        try:
            await self._check(lab.load(), lab)
        except Exception as error:
            fault = fault_of(error)
        self._end(fault)

    def _end(self, fault: Fault | None) -> None:
        if resource is not None:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
        lab, calls = self._lab, []
        if lab:
            ends = ((call, lab.now() if call.end is None else call.end) for call in lab.calls()[:_LINES])
            calls = [[call.name, call.start, end, call.outcome] for call, end in ends]
        if lab and lab.network:
            fault = Fault(
                "the network", f"your code tried to reach {lab.network[0]}", "nothing here needs a network."
            )
        self._send(
            {
                "judgements": lab.judgements if lab else [],
                "fault": fault and [fault.title, fault.evidence, fault.look_at],
                "calls": calls,
                "printed": [self._printed.text, self._printed.length],
            }
        )
        os._exit(0)

    def _limit(self) -> None:
        if resource is None:
            return
        if self._job["forks"]:
            os.setsid()
        used = 0
        if (statm := Path("/proc/self/statm")).exists():
            used = int(statm.read_text().split()[0]) * resource.getpagesize()
        for what, most in (
            (resource.RLIMIT_AS, used + self._job["memory_bytes"]),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, self._job["memory_bytes"]),
            (resource.RLIMIT_CPU, 2 + round(2 * self._job["cpu"])),
        ):
            resource.setrlimit(what, (most, resource.getrlimit(what)[1]))
        signal.signal(signal.SIGPROF, self._endless)
        signal.signal(signal.SIGALRM, self._stuck)
        signal.setitimer(signal.ITIMER_PROF, self._job["cpu"])
        signal.setitimer(signal.ITIMER_REAL, self._job["wall"])

    def _endless(self, number: int, frame: FrameType | None) -> None:
        evidence = f"it computed for {self._job['cpu']:g} s without an end{self._where(frame)}"
        self._end(Fault("an endless loop", evidence, "what ends it."))

    def _stuck(self, number: int, frame: FrameType | None) -> None:
        evidence = f"nothing moved for {self._job['wall']:g} s of real time{self._where(frame)}"
        self._end(Fault("it is stuck", evidence, "what it waits for there."))

    def _where(self, frame: FrameType | None) -> str:
        """The function of the learner's that runs: the line would be another one each time."""
        frames = [frame, *sys._current_frames().values()]
        found = next(filter(None, map(learner_frame, frames)), None)
        while found and (outer := learner_frame(found.f_back)):
            found = outer
        return f", in {found.f_code.co_name}()" if found else ""

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(_NETWORK):
            where = args[1] if event.startswith("socket.connect") else args[0] if args else event
            if self._lab:
                self._lab.network.append(str(where)[:100])
            raise PermissionError("practice code has no network")
        if event.startswith(_PROGRAMS):
            raise PermissionError(f"practice code starts no other programs ({event})")


@functools.lru_cache(maxsize=1)
def _prepared(folder: str, *stamps: int) -> tuple[Exercise, Any]:
    """An exercise and the module of its checks; they are loaded once for all children."""
    exercise = Exercise.load(Path(folder).name, Path(folder).parent)
    spec = importlib.util.spec_from_file_location("checks", exercise.folder / "checks.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    gc.collect()
    gc.freeze()
    return exercise, module


def _warm_up() -> None:
    """Do once what an SDK does at its first call, so that no check has to."""
    import anthropic  # noqa: F401 - it takes the longest of all to import

    simulator = Simulator(script=lambda request: "warm")

    async def ask() -> None:
        # The tokenizer prepares itself for other scripts when it first meets one.
        messages: Any = [{"role": "user", "content": "wärm?"}]
        client = simulator.openai()
        await client.chat.completions.create(model=MODEL, messages=messages)
        async for _ in await client.chat.completions.create(model=MODEL, messages=messages, stream=True):
            pass
        await simulator.anthropic().messages.create(model="claude-sonnet-5", messages=messages, max_tokens=9)

    clock.run(ask)


def main() -> None:
    """Run the checks that standard input asks for, one JSON object a line, until it ends."""
    channel = os.dup(1)
    jobs = os.fdopen(os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    warm = False
    import_module("anyio._backends._asyncio")  # used by learners; it takes longer than most checks do
    gc.freeze()
    for line in jobs:
        job = json.loads(line)
        if job["simulated"] and job.get("forks", True) and not warm:
            warm = True
            _warm_up()
            gc.collect()
            gc.freeze()
        if "check" not in job:
            continue
        folder, word = job["folder"], job["word"]
        stamps = [Path(folder, name).stat().st_mtime_ns for name in ("prompt.md", "checks.py")]
        exercise, checks = _prepared(folder, *stamps)

        def send(what: dict[str, Any], word: str = word) -> None:
            rest = f"{word}{json.dumps(what)}\n".encode()
            while rest:
                rest = rest[os.write(channel, rest) :]

        if not job["forks"]:
            send({"pid": os.getpid()})
            _Child(job, exercise, checks, send).run()
        pid = os.fork()
        if not pid:
            _Child(job, exercise, checks, send).run()
        send({"pid": pid})
        send({"ended": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


if __name__ == "__main__":
    main()

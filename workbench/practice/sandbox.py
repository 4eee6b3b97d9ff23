"""A learner's program, run where it can do no harm: the parent's side.

Each check runs in a process of its own, forked from a warm one (:mod:`workbench.practice.judge`), with limits
to its time and memory, an empty folder to work in, and none of this process's environment.  Whatever the
program does, the caller lives, and is told.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from typing import Any

from workbench.practice.exercise import Check, Exercise

__all__ = ["Run", "Sandbox"]

_MEMORY_BYTES = 2**30
_PASSED_ON = ("LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP")
_STOPS = (-9, -24)  # SIGKILL and SIGXCPU, names that Windows does not know


@dataclass(frozen=True)
class Run:
    """What one check has found: plain data.

    Args:
        check: that ran.
        judgements: (right, the mistake's key or None, evidence), in order.
        fault: (title, evidence, what to look at) of what ended it early, or None.
        calls: (name, start, end, outcome) of each call that an upstream got, in virtual seconds.
        printed: the beginning of what the program printed, and how many characters that were.
    """

    check: Check
    judgements: tuple[tuple[bool, str | None, str], ...] = ()
    fault: tuple[str, str, str] | None = None
    calls: tuple[tuple[str, float, float, str], ...] = ()
    printed: tuple[str, int] = ("", 0)

    @property
    def right(self) -> bool:
        """Whether the behaviour is as it should be."""
        return self.fault is None and all(right for right, _, _ in self.judgements)


class Sandbox:
    """Runs programs; one process is kept warm for them, from the first :meth:`warm` or :meth:`run` on.

    Args:
        cpu: seconds that each check may compute; a usual one takes a hundredth of one.
        wall: seconds that each may take in all.
        memory_bytes: that each may have, on top of what the judge itself has.
        forks: keep one process warm and fork it; False: start one for each check, as systems without fork do.
    """

    def __init__(
        self,
        *,
        cpu: float = 0.6,
        wall: float = 4.0,
        memory_bytes: int = _MEMORY_BYTES,
        forks: bool = hasattr(os, "fork"),
    ) -> None:
        self._limits = {"cpu": cpu, "wall": wall, "memory_bytes": memory_bytes}
        self._forks = forks
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)

    def warm(self, exercise: Exercise) -> None:
        """Start the process, and let it import what the exercise needs, without waiting for it."""
        with self._lock:
            if self._forks:
                self._ask(simulated=exercise.simulated)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()

    def run(self, exercise: Exercise, source: str) -> list[Run]:
        """Run every check of an exercise on a program; after one that has to be stopped, no more."""
        runs: list[Run] = []
        with self._lock, tempfile.TemporaryDirectory(prefix="practice-", ignore_cleanup_errors=True) as cwd:
            for check in exercise.checks():
                runs.append(self._run(exercise, check, source, cwd))
                if runs[-1].fault and runs[-1].fault[0] in _FINAL:
                    break
        return runs

    def _run(self, exercise: Exercise, check: Check, source: str, cwd: str) -> Run:
        word = secrets.token_hex(8)
        process = self._judge()
        assert process.stdout
        found: dict[str, Any] = {}
        timer = threading.Timer(self._limits["wall"] + 5, lambda: _kill(found.get("pid"), process))
        try:
            self._ask(
                simulated=exercise.simulated,
                folder=str(exercise.folder),
                check=check.name,
                source=source,
                cwd=cwd,
                word=word,
                forks=self._forks,
                **self._limits,
            )
            for line in process.stdout:
                if line.startswith(word):
                    with contextlib.suppress(ValueError):
                        found |= json.loads(line.removeprefix(word))
                if "pid" in found and not timer.ident:
                    timer.start()
                if "ended" in found:
                    break
            else:
                found["ended"] = process.wait()
                self._stop()
                if "pid" not in found:
                    raise ChildProcessError("the process that judges practice code did not start")
        except BaseException:
            self._stop()
            _kill(found.get("pid"), process)
            raise
        finally:
            timer.cancel()
        return _made_of(check, found)

    def _ask(self, **job: Any) -> None:
        pipe = self._judge().stdin
        assert pipe
        pipe.write(json.dumps(job) + "\n")
        pipe.flush()

    def _judge(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "workbench.practice.judge"],  # -P: no modules from where we are
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # an interrupt of the caller's is not its business
                env={
                    **environment,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    "PYTHONHASHSEED": "0",
                    "PYTHONUTF8": "1",
                    "MALLOC_ARENA_MAX": "2",  # each takes 64 MB of the address space, which is limited
                },
            )
        return self._process

    def _stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None


_STOPPED = "it was stopped"
_FINAL = {"an endless loop", "it is stuck", _STOPPED}


def _made_of(check: Check, found: dict[str, Any]) -> Run:
    if "judgements" not in found:
        return Run(check, fault=_death(found.get("ended")))
    return Run(
        check,
        tuple((right, mistake, evidence) for right, mistake, evidence in found["judgements"]),
        found["fault"] and tuple(found["fault"]),
        tuple((name, start, end, outcome) for name, start, end, outcome in found["calls"]),
        (found["printed"][0], found["printed"][1]),
    )


def _death(code: int | None) -> tuple[str, str, str]:
    """What to tell of a process that has ended without a word."""
    if code is None or code in _STOPS:
        return _STOPPED, "your code did not end in time, and nothing else could stop it", "what ends it."
    if code < 0:
        return "a crash", f"the process died: {signal.strsignal(-code)}", "ctypes, and recursion in C."
    return (
        "it ends the program",
        f"your code ended the process with status {code}",
        "os._exit(), and what calls it.",
    )


def _kill(pid: int | None, process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if pid is None or pid == process.pid:
            process.kill()
        else:
            os.killpg(pid, signal.SIGKILL)

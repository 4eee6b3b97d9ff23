"""The vocabulary of checks: a :class:`Lab` runs a learner's code in virtual time, and measures what it did.

Rule of this file: nothing looks at the learner's source text or names.  What is measured is what a provider,
the event loop and the clock have seen; a line of source is only ever quoted as evidence.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import linecache
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import FrameType, ModuleType
from typing import Any

from workbench.clock import VirtualTimeLoop
from workbench.practice.clocks import Clocks
from workbench.practice.faults import EVIDENCE, LEARNER, Fault, called_by, fault_of, where
from workbench.practice.upstream import Blocking, Call, Peak, Service, Source, from_log, peak, waits
from workbench.simulator import Latency, ModelProfile, Simulator

__all__ = ["LEARNER", "MODEL", "Blocked", "Call", "Fault", "Lab", "Outcome", "Peak", "peak", "waits"]

MODEL = "gpt-5.5"
_POOLED = ("virtual-time", "AnyIO worker thread", "asyncio_")  # threads that wait idly for more to do
_UNWIND = 60.0  # seconds that a cancelled call has to come to its end


@dataclass
class Blocked:
    """A time for which the event loop stood still: `by` what (``time.sleep``, ``openai``), at which line."""

    start: float
    end: float
    by: str
    line: str

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"the loop stood still for {self.seconds:.2f} s in {self.by}, {self.line}"


@dataclass
class Outcome:
    """What became of a call of the learner's code.

    Attributes:
        result: what it returned; None if it did not.
        error: what it raised, ``CancelledError`` included; None if it returned or hung.
        start: virtual seconds at which it began.
        end: virtual seconds at which it ended.
        hung: it had not ended after `within` seconds, or within its `steps`; where it stood then.
        unwound: seconds from its cancellation to its end; None if it was not cancelled.
        pending: tasks of its own that were not done at the instant of its end, and where they waited.
        left: those of them that were still there a moment later.
        threads: names of threads that it started, and that still live.
        steps: lines of the learner's code that it executed, where they were counted.
    """

    result: Any = None
    error: BaseException | None = None
    start: float = 0.0
    end: float = 0.0
    hung: str = ""
    unwound: float | None = None
    pending: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)
    steps: int = 0

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start

    @property
    def cancelled(self) -> bool:
        """Whether a cancellation came out of it."""
        return isinstance(self.error, asyncio.CancelledError)

    @property
    def value(self) -> Any:
        """What it returned; where it did not, this ends the check with the plain reason."""
        if self.hung:
            raise Fault("it never ends", self.hung, "what it waits for there, and who should bring it about.")
        if self.error is not None:
            raise fault_of(self.error)
        return self.result


class _TooManySteps(BaseException):
    """More lines of the learner's code were executed than the check allows."""


class Lab:
    """What a check is given besides the task: it makes upstreams, runs calls and measures.

    Attributes:
        blocked: the times for which the event loop stood still, in order.
        clocks: what the learner's code read; see :class:`~workbench.practice.clocks.Clocks`.
        network: what it tried to reach, all of it refused.
        judgements: (whether it is right, the mistake's key or None, the evidence).
    """

    def __init__(self, source: str, entry: str, mistakes: Iterable[str], loop: VirtualTimeLoop) -> None:
        self.blocked: list[Blocked] = []
        self.clocks = Clocks(loop.time, LEARNER)
        self.network: list[str] = []
        self.judgements: list[tuple[bool, str | None, str]] = []
        self._source, self._entry, self._mistakes, self._loop = source, entry, frozenset(mistakes), loop
        self._upstreams: list[Simulator | Service] = []
        self._unseen: list[str] = []
        linecache.cache[LEARNER] = (len(source), None, source.splitlines(keepends=True), LEARNER)
        loop.set_exception_handler(self._note_unseen)
        loop.block = self._watched(loop.block)  # type: ignore[method-assign]  # of this one loop

    # -- findings -------------------------------------------------------------------------------------

    def expect(self, right: bool, mistake: str | None, evidence: str) -> bool:
        """Judge one thing.

        Args:
            right: whether it is as it should be.
            mistake: the key, in ``prompt.md``, of the mistake that it is otherwise; None: none of those.
            evidence: what was measured, with figures; the report shows it in either case.

        Returns:
            `right`, so that a check can stop where more would say nothing.
        """
        if mistake is not None and mistake not in self._mistakes:
            raise LookupError(f"{mistake!r} is no mistake of prompt.md")
        short = evidence if len(evidence) <= EVIDENCE else f"{evidence[:EVIDENCE]}…"
        self.judgements.append((bool(right), mistake, short))
        return bool(right)

    # -- what the code is given -----------------------------------------------------------------------

    def simulator(
        self, *, ttft: float = 0.5, itl: float = 0.02, cv: float = 0.0, slots: int = 64, **options: Any
    ) -> Simulator:
        """A simulated provider with one exact model, ``gpt-5.5`` (and ``claude-sonnet-5``).

        Args:
            ttft: seconds to the first token.
            itl: seconds from each token to the next.
            cv: coefficient of variation of both; 0: every answer of one length takes equally long.
            slots: requests that it serves at once.
            options: the rest of ``Simulator``'s own: `script`, `limits`, `faults`, `seed` …
        """
        exact = {"ttft": Latency(mean=ttft, cv=cv), "itl": Latency(mean=itl, cv=cv), "slots": slots}
        speed = {"prefill_tokens_per_second": 1e9}
        models = [
            ModelProfile.model_validate({"provider": provider, "name": name, **exact, **speed})
            for provider, name in (("openai", MODEL), ("anthropic", "claude-sonnet-5"))
        ]
        simulator = Simulator(models=models, **options)
        self._upstreams.append(simulator)
        return simulator

    def service(
        self,
        answer: Any = None,
        *,
        takes: float | Callable[..., float] = 0.1,
        name: str = "call",
        blocking: bool = False,
    ) -> Service:
        """A function to hand in, async or `blocking`; see :class:`~workbench.practice.upstream.Service`."""
        service = (Blocking if blocking else Service)(answer, takes, name)
        self._upstreams.append(service)
        return service

    def source(
        self, items: Iterable[Any], *, every: float = 0.1, error: BaseException | None = None
    ) -> Source:
        """A stream to hand in; see :class:`~workbench.practice.upstream.Source`."""
        return Source(items, every, error)

    def calls(self, upstream: Simulator | Service | None = None) -> list[Call]:
        """The calls that an upstream got, or all of them, in order."""
        chosen = self._upstreams if upstream is None else [upstream]
        found = [from_log(each.log) if isinstance(each, Simulator) else each.calls for each in chosen]
        return sorted((call for calls in found for call in calls), key=lambda call: call.start)

    def now(self) -> float:
        """Virtual seconds: the clock to hand in where the task asks for one."""
        return self._loop.time()

    def load(self) -> Any:
        """The learner's function or class, from a fresh run of their module."""
        module = ModuleType("practice")
        sys.modules["practice"] = module  # dataclasses and pydantic look their classes' module up
        try:
            exec(compile(self._source, LEARNER, "exec"), vars(module))
        except Exception as error:
            raise fault_of(error) from error
        if not hasattr(module, self._entry):
            defined = ", ".join(name for name in vars(module) if not name.startswith("__")) or "nothing"
            raise Fault(
                f"{self._entry} is missing", f"your code defines {defined}", "the signature in the task."
            )
        return getattr(module, self._entry)

    # -- what it does ---------------------------------------------------------------------------------

    async def call(
        self,
        function: Callable[..., Any],
        *args: Any,
        within: float = 3600.0,
        cancel_after: float | None = None,
        steps: int | None = None,
        **options: Any,
    ) -> Outcome:
        """Call the learner's code, sync or async, and tell what became of it; this never raises or hangs.

        Args:
            function: to call; what it returns is awaited, if it can be.
            args: that it gets.
            within: virtual seconds after which it counts as hung.
            cancel_after: virtual seconds after which the caller gives up, as a client that leaves does.
            steps: count the lines that it executes, and stop it after so many; this makes it slow.
            options: keyword arguments that it gets.
        """
        outcome = Outcome(start=self.now())
        threads = set(threading.enumerate())
        before = asyncio.all_tasks()
        own: set[asyncio.Task[Any]] = set()

        async def supervised() -> None:
            try:
                with self._counting(outcome, steps):
                    result = function(*args, **options)
                    outcome.result = await result if inspect.isawaitable(result) else result
            except _TooManySteps:
                outcome.hung = f"more than {steps:,} lines of code were executed, and there was no end"
            except BaseException as error:
                outcome.error = error
                if isinstance(error, SystemExit | KeyboardInterrupt):
                    raise
            finally:
                outcome.end = self.now()
                own.update(each for each in asyncio.all_tasks() - before - {running} if not each.done())
                outcome.pending = sorted(map(where, own))

        running = asyncio.create_task(supervised(), name="your call")
        if cancel_after is not None:
            self._loop.call_later(cancel_after, running.cancel)
        _, late = await asyncio.wait({running}, timeout=within)
        if late:
            outcome.hung = (
                outcome.hung or f"it had not ended after {within:g} s; it waits in {where(running)}"
            )
            running.cancel()
            await asyncio.wait({running}, timeout=_UNWIND)
            outcome.error = None
        elif cancel_after is not None and outcome.seconds >= cancel_after:
            outcome.unwound = outcome.seconds - cancel_after
        await asyncio.sleep(0.001)
        outcome.left = sorted(where(each) for each in own if not each.done())
        young = (thread.name for thread in threading.enumerate() if thread not in threads)
        outcome.threads = sorted(name for name in young if not name.startswith(_POOLED))
        return outcome

    @contextlib.contextmanager
    def _counting(self, outcome: Outcome, limit: int | None) -> Iterator[None]:
        if limit is None:
            yield
            return

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line":
                outcome.steps += 1
                if outcome.steps > limit:
                    raise _TooManySteps
            return line

        before = sys.gettrace()
        sys.settrace(lambda frame, event, argument: line if frame.f_code.co_filename == LEARNER else None)
        try:
            yield
        finally:
            sys.settrace(before)

    def _watched(self, block: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(block)
        def watched(seconds: float, **options: Any) -> None:
            start = self.now()
            block(seconds, **options)
            if asyncio._get_running_loop() is self._loop:
                by, line = called_by(sys._getframe(1))
                last = self.blocked[-1] if self.blocked else None
                if last and last.end == start and (last.by, last.line) == (by, line):
                    last.end = self.now()
                else:
                    self.blocked.append(Blocked(start, self.now(), by, line))

        return watched

    def longest_block(self) -> Blocked:
        """The longest time for which the loop stood still; of 0 s, if it never did."""
        return max(self.blocked, key=lambda each: each.seconds, default=Blocked(0, 0, "nothing", "anywhere"))

    @contextlib.contextmanager
    def memory(self) -> Iterator[Callable[[], int]]:
        """Measure the memory that a block allocates: gives a function that tells its peak, in bytes."""
        tracemalloc.start()
        tracemalloc.reset_peak()
        origin, ended = tracemalloc.get_traced_memory()[0], [0]
        try:
            yield lambda: ended[0] or tracemalloc.get_traced_memory()[1] - origin
        finally:
            ended[0] = tracemalloc.get_traced_memory()[1] - origin
            tracemalloc.stop()

    def spy(self, owner: Any, name: str) -> list[tuple[Any, ...]]:
        """Record the arguments of each call of ``owner.name`` from now on."""
        original, seen = getattr(owner, name), list[tuple[Any, ...]]()

        @functools.wraps(original)
        def spying(*args: Any, **options: Any) -> Any:
            seen.append(args)
            return original(*args, **options)

        setattr(owner, name, spying)
        return seen

    def unseen(self) -> list[str]:
        """The exceptions of tasks that nobody has looked at so far."""
        gc.collect()
        return list(self._unseen)

    def _note_unseen(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._unseen.append(f"{context['message']}: {context.get('exception')!r}")

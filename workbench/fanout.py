"""Many calls at once, bounded: in flight by a limit, in time by a rate; nothing is lost or left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from workbench.clock import reader
from workbench.limiter import RateLimiter
from workbench.progress import Progress, State
from workbench.tracing import span

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FanOut", "Outcome", "fan_out"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class Outcome(Generic[R]):
    """What became of one item; times are seconds on the current clock.

    `waited` is what the rate limiter held it back for, before it was sent at `started`.
    """

    index: int
    waited: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    value: R | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    @property
    def duration(self) -> float:
        """Seconds from the sending to the end."""
        return self.ended - self.started


class FanOut(Sequence[R | Exception]):
    """The results in the order of the items; a failed item's result is its exception."""

    def __init__(self, outcomes: Sequence[Outcome[R]]) -> None:
        self.outcomes = tuple(outcomes)

    def __len__(self) -> int:
        return len(self.outcomes)

    @overload
    def __getitem__(self, index: int) -> R | Exception: ...
    @overload
    def __getitem__(self, index: slice) -> FanOut[R]: ...
    def __getitem__(self, index: int | slice) -> R | Exception | FanOut[R]:
        if isinstance(index, slice):
            return FanOut(self.outcomes[index])
        outcome = self.outcomes[index]
        return cast(R, outcome.value) if outcome.error is None else outcome.error

    def __repr__(self) -> str:
        return f"<FanOut: {len(self.values())} values, {len(self.errors())} errors>"

    def values(self) -> list[R]:
        """The values of the items that succeeded, in the items' order."""
        return [cast(R, outcome.value) for outcome in self.outcomes if outcome.ok]

    def errors(self) -> dict[int, Exception]:
        """The exceptions, by the index of their item."""
        return {o.index: o.error for o in self.outcomes if o.error is not None}

    def to_frame(self) -> pd.DataFrame:
        """One row for each item: `waited`, `started`, `ended`, `duration`, `ok`, `error`, `value`."""
        import pandas as pd

        columns = ["index", "waited", "started", "ended", "duration", "ok", "error", "value"]
        rows = [[getattr(outcome, column) for column in columns] for outcome in self.outcomes]
        return pd.DataFrame(rows, columns=columns).set_index("index")


async def fan_out(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int,
    rate: RateLimiter | None = None,
    cost: Callable[[T], float] | None = None,
    timeout: float | None = None,
    on_error: Literal["raise", "return"] = "raise",
    progress: bool = False,
) -> FanOut[R]:
    """Call ``await fn(item)`` for each item, at most `limit` at once, and wait for all.

    No call outlives it: when it ends, by whatever error, cancellation or interrupt, every call has ended.

    Args:
        fn: an async function of one item; each call runs in a task, and so in a context, of its own.
        items: taken one by one as places get free, so that an endless source is not read ahead.  An
            error in it ends the fan-out; where the fan-out ends early, an async generator is closed.
        limit: calls in flight at the most.
        rate: holds calls back so that a rate limit is kept.
        cost: the tokens that an item is expected to be charged for, for `rate`; where a result has a
            `usage`, the real number corrects the estimate (downwards only if `rate` gives refunds).
        timeout: seconds for each call, not counting the time for which `rate` holds it back.
        on_error: ``"raise"``: the first exception cancels the calls that are left and is raised;
            ``"return"``: an exception takes its result's place.
        progress: show how far it is; in virtual time, which takes none, nothing is shown.

    Returns:
        the results in the order of the items.

    Raises:
        ValueError: `limit` is not a positive whole number, or `on_error` is neither of the two.
        TypeError: `fn` is not an async function, `rate` is not a limiter, or `items` is one string.
    """
    if not isinstance(limit, int) or limit < 1:  # type: ignore[redundant-expr]  # 2.5 bounds nothing
        raise ValueError(f"limit must be a whole number of at least 1, got {limit!r}")
    if rate is not None and not isinstance(rate, RateLimiter):
        raise TypeError(f"rate must be a RateLimiter, got {rate!r}; for a number: RateLimiter(rpm={rate!r})")
    if on_error not in ("raise", "return"):
        raise ValueError(f"on_error must be 'raise' or 'return', got {on_error!r}")
    if isinstance(items, str | bytes):
        kind = type(items).__name__
        raise TypeError(f"items must be an iterable of items, got one {kind}; put it in a list: [{items!r}]")
    total = len(items) if isinstance(items, Sized) else None
    view = Progress(total) if progress else None
    calls = _Calls(fn, limit, rate, cost, timeout, on_error == "return", view)
    try:
        async with asyncio.TaskGroup() as group:
            await calls.start_all(items, group)
    except BaseExceptionGroup as errors:  # which of them was the first, `calls` knows
        errors.__traceback__ = None  # else it is in a cycle, with all that it holds
    finally:
        if view:
            view.close()
        if isinstance(items, AsyncGenerator):  # has nothing left to do, unless the fan-out ended early
            await items.aclose()
    if calls.failure is not None:
        error, calls.failure = calls.failure, None
        try:
            raise error  # as itself: not as a group of one, and without a group as its context
        finally:
            del error  # its traceback holds this frame
    return FanOut(calls.outcomes)


class _Calls(Generic[T, R]):
    """The calls of one fan-out."""

    def __init__(
        self,
        fn: Callable[[T], Awaitable[R]],
        limit: int,
        rate: RateLimiter | None,
        cost: Callable[[T], float] | None,
        timeout: float | None,
        keep_errors: bool,
        progress: Progress | None,
    ) -> None:
        self.fn, self.rate, self.cost, self.timeout = fn, rate, cost, timeout
        self.keep_errors, self.progress = keep_errors, progress
        self.places = limit
        self.place_free: asyncio.Future[None] | None = None
        self.outcomes: list[Outcome[R]] = []
        self.failure: BaseException | None = None  # the first one, which ends the fan-out
        self.caller = cast("asyncio.Task[Any]", asyncio.current_task())
        self.caller_cancelled = self.caller.cancelling()
        self.now = reader()

    async def start_all(self, items: Iterable[T] | AsyncIterable[T], group: asyncio.TaskGroup) -> None:
        """Start a call for each item; the next item is taken when there is a place for it."""
        try:
            if isinstance(items, AsyncIterable):
                async for item in items:
                    self.start(item, group)
                    if not await self.next_place():
                        break
            else:
                for item in items:
                    self.start(item, group)
                    if not (self.places or await self.next_place()):
                        break
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # of the items' own
            if self.failure is None:
                self.failure = error
            raise

    def start(self, item: T, group: asyncio.TaskGroup) -> None:
        self.places -= 1
        outcome: Outcome[R] = Outcome(len(self.outcomes))
        self.outcomes.append(outcome)
        if self.progress:
            self.progress.start(outcome.index)
        group.create_task(self.run(item, outcome))

    async def next_place(self) -> bool:
        """Wait for a free place; False: there will be no further call."""
        if not self.places:
            self.place_free = asyncio.get_running_loop().create_future()
            await self.place_free
        return self.failure is None

    async def run(self, item: T, outcome: Outcome[R]) -> None:
        state: State = "failed"
        try:
            estimate = 0.0
            if self.rate is not None:
                estimate = 0.0 if self.cost is None else self.cost(item)
                outcome.waited = await self.rate.acquire(estimate)
            outcome.started = self.now()
            with span("call", index=outcome.index):
                if self.timeout is None:
                    awaitable = self.fn(item)
                    if type(awaitable) is not CoroutineType:
                        self.check(awaitable)
                    outcome.value = await awaitable
                else:
                    async with asyncio.timeout(self.timeout):
                        outcome.value = await self.check(self.fn(item))
            if self.rate is not None and (used := _tokens(outcome.value)) is not None:
                self.rate.settle(estimate, used)
            state = "done"
        except asyncio.CancelledError as cancelled:
            if self.failure is not None or self.caller.cancelling() > self.caller_cancelled:
                state = "cancelled"
                raise  # it is the fan-out that ends
            error = RuntimeError(f"the call for item {outcome.index} cancelled itself")
            error.__cause__ = cancelled
            if not self.keeps(error, outcome):
                raise error from cancelled
        except BaseException as error:
            if not self.keeps(error, outcome):
                raise
        finally:
            outcome.ended = self.now()
            if self.progress:
                self.progress.finish(outcome.index, state)
            self.places += 1
            waiting, self.place_free = self.place_free, None
            if waiting is not None and not waiting.done():  # it may be cancelled
                waiting.set_result(None)

    def keeps(self, error: BaseException, outcome: Outcome[R]) -> bool:
        """Whether the error takes its result's place; if not, it ends the fan-out."""
        if self.keep_errors and isinstance(error, Exception):
            outcome.error = error
            return True
        if self.failure is None:
            self.failure = error
            error.add_note(f"raised by fan_out's call for item {outcome.index}")
        return False

    def check(self, awaitable: Awaitable[R]) -> Awaitable[R]:
        if not isinstance(awaitable, Awaitable):
            self.keep_errors = False  # this one is not the item's
            raise TypeError(
                f"fan_out() needs an async function, and {self.fn!r} returned {awaitable!r}; "
                "wrap a blocking one: lambda item: asyncio.to_thread(fn, item)"
            )
        return awaitable


def _tokens(value: object) -> int | None:
    """The tokens that a result says it has used: ours, OpenAI's or Anthropic's form of usage."""
    usage: Any = getattr(value, "usage", None)
    total = getattr(usage, "total_tokens", None)
    if total is None and hasattr(usage, "input_tokens"):
        total = usage.input_tokens + usage.output_tokens
    return cast("int | None", total)

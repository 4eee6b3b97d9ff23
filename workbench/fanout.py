"""Many calls at once, bounded: in flight by a limit, in time by a rate; nothing is lost or left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast

from workbench.clock import now
from workbench.limiter import RateLimiter
from workbench.progress import Progress
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
    error: BaseException | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    @property
    def duration(self) -> float:
        """Seconds from the sending to the end."""
        return self.ended - self.started


class FanOut(Sequence[R | BaseException]):
    """The results in the order of the items; a failed item's result is its exception."""

    def __init__(self, outcomes: Sequence[Outcome[R]]) -> None:
        self.outcomes = tuple(outcomes)

    def __len__(self) -> int:
        return len(self.outcomes)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return FanOut(self.outcomes[index])
        outcome = self.outcomes[index]
        return cast(R, outcome.value) if outcome.error is None else outcome.error

    def __repr__(self) -> str:
        return f"<FanOut: {len(self.values())} values, {len(self.errors())} errors>"

    def values(self) -> list[R]:
        """The values of the items that succeeded, in the items' order."""
        return [cast(R, outcome.value) for outcome in self.outcomes if outcome.ok]

    def errors(self) -> dict[int, BaseException]:
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

    Args:
        fn: an async function of one item.
        items: taken one by one as places get free, so that an endless source is not read ahead.
        limit: calls in flight at the most.
        rate: holds calls back so that a rate limit is kept.
        cost: the tokens that an item will probably need, for `rate`; where a result has a `usage`, the
            real number replaces the estimate.
        timeout: seconds for each call, not counting the time for which `rate` holds it back.
        on_error: ``"raise"``: the first exception cancels the calls that are left and is raised;
            ``"return"``: an exception takes its result's place.
        progress: show how far it is.

    Returns:
        the results in the order of the items.

    Raises:
        ValueError: `limit` is not positive, or `on_error` is neither of the two.
        TypeError: `fn` is not an async function.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit!r}")
    if on_error not in ("raise", "return"):
        raise ValueError(f"on_error must be 'raise' or 'return', got {on_error!r}")
    total = len(items) if isinstance(items, Sequence) else None
    calls = _Calls(fn, limit, rate, cost, timeout, on_error, Progress(total) if progress else None)
    try:
        async with asyncio.TaskGroup() as group:
            if isinstance(items, AsyncIterable):
                async for item in items:
                    await calls.start(item, group)
            else:
                for item in items:
                    await calls.start(item, group)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
    finally:
        if calls.progress:
            calls.progress.close()
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
        on_error: str,
        progress: Progress | None,
    ) -> None:
        self.fn, self.rate, self.cost, self.timeout = fn, rate, cost, timeout
        self.keep_errors = on_error == "return"
        self.progress = progress
        self.places = asyncio.Semaphore(limit)
        self.outcomes: list[Outcome[R]] = []

    async def start(self, item: T, group: asyncio.TaskGroup) -> None:
        await self.places.acquire()
        outcome: Outcome[R] = Outcome(len(self.outcomes))
        self.outcomes.append(outcome)
        if self.progress:
            self.progress.start(outcome.index)
        group.create_task(self.run(item, outcome))

    async def run(self, item: T, outcome: Outcome[R]) -> None:
        try:
            estimate = 0.0 if self.cost is None else self.cost(item)
            if self.rate is not None:
                outcome.waited = await self.rate.acquire(estimate)
            outcome.started = now()
            with span("call", index=outcome.index):
                if self.timeout is None:
                    outcome.value = await self.call(item)
                else:
                    async with asyncio.timeout(self.timeout):
                        outcome.value = await self.call(item)
            if self.rate is not None and (used := _tokens(outcome.value)) is not None:
                self.rate.settle(estimate, used)
        except asyncio.CancelledError as error:
            task = cast("asyncio.Task[None]", asyncio.current_task())
            if task.cancelling():  # by us, or by whoever cancels the fan-out
                raise
            outcome.error = error
            if not self.keep_errors:
                raise RuntimeError(f"the call for item {outcome.index} cancelled itself") from error
        except Exception as error:
            outcome.error = error
            if not self.keep_errors:
                raise
        finally:
            outcome.ended = now()
            if self.progress:
                self.progress.finish(outcome.index, failed=outcome.error is not None)
            self.places.release()

    def call(self, item: T) -> Awaitable[R]:
        awaitable = self.fn(item)
        if not isinstance(awaitable, Awaitable):
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

"""One call under policies: retry → hedge → limit → breaker → the call itself.

Retry and hedge are outermost, since what they send is load, too: each request that leaves has waited for
the limiter and been admitted by the breaker.  What waits for the sake of a policy is here; what to do is
decided by the machines.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

from workbench.calls.provider import Opened, ResilientProvider
from workbench.clock import deadline, now, reader, time_left
from workbench.errors import CallNotPermittedError
from workbench.limiter import RateLimiter
from workbench.progress import pause
from workbench.providers.base import Provider, from_sdk
from workbench.resilience.breaker import CircuitBreaker
from workbench.resilience.concurrency import ConcurrencyLimit
from workbench.resilience.gates import Gate, Permits, admit, settle
from workbench.resilience.hedge import Hedge
from workbench.resilience.retry import Retries, RetryPolicy
from workbench.resilience.throttle import AdaptiveThrottle
from workbench.tracing import is_recording, span

__all__ = ["Resilient"]

P = ParamSpec("P")
R = TypeVar("R")
Clock = Callable[[], float]
_ONCE = RetryPolicy(attempts=1)


class Resilient:
    """Policies for calls: `await policies.call(fn, …)`, `@policies`, or `policies.provider(provider)`.

    An object may be shared by all calls to one provider, and has to be, if breaker and budget are to see all
    of them.  It may be used from several threads and event loops, if it has no `limit`.

    Args:
        retry: which failures are tried again, and when; None: none.
        limit: requests and tokens a minute; a call waits for it.
        breaker: refuses calls while too many fail.
        throttle: refuses a share of the calls while the provider is overloaded.
        concurrency: refuses calls above a number in flight.
        hedge: asks a second time where an answer takes unusually long.
        timeout: seconds for each attempt; of a stream, until its first event.
        cost: from its arguments, the tokens that a call is expected to be charged for, for `limit`; a
            provider's answer corrects it.
        rng: where the jitter comes from; None: the global `random`, which a virtual run seeds.
    """

    def __init__(
        self,
        *,
        retry: RetryPolicy | None = None,
        limit: RateLimiter | None = None,
        breaker: CircuitBreaker | None = None,
        throttle: AdaptiveThrottle | None = None,
        concurrency: ConcurrencyLimit | None = None,
        hedge: Hedge | None = None,
        timeout: float = math.inf,
        cost: Callable[..., float] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.retry = retry or _ONCE
        self.limit, self.breaker, self.throttle, self.concurrency = limit, breaker, throttle, concurrency
        self.hedge, self.timeout, self.cost = hedge, timeout, cost
        self.gates: list[Gate] = [gate for gate in (throttle, concurrency, breaker) if gate is not None]
        self._rng = rng or cast(random.Random, random)

    async def call(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await ``fn(*args, **kwargs)`` under these policies.

        Raises:
            CallNotPermittedError: a policy has refused to send it; its cause is the attempt before, if any.
            TimeoutError: an attempt, or what was left until the deadline, was too short.
            Exception: what the last attempt has raised; a note says why it was the last.
        """
        tokens = self.cost(*args, **kwargs) if self.cost else 0.0
        if not is_recording():
            return await self.run(lambda: fn(*args, **kwargs), tokens)
        with span(getattr(fn, "__qualname__", "call")):
            return await self.run(lambda: fn(*args, **kwargs), tokens)

    def __call__(self, fn: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorate an async function: each call of it goes under these policies."""

        @functools.wraps(fn)
        async def resilient(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self.call(fn, *args, **kwargs)

        return resilient

    def provider(self, provider: Provider) -> ResilientProvider:
        """The provider under these policies: a provider itself, so that they nest.

        Args:
            provider: any provider; a stream of it is tried again only before its first event.
        """
        return ResilientProvider(provider, self)

    async def run(self, make: Callable[[], Awaitable[R]], tokens: float = 0.0) -> R:
        """Attempt by attempt, until one is answered.

        Args:
            make: sends one request.
            tokens: that one is expected to be charged for.
        """
        clock = reader()
        began = clock()
        send = self._send if self.hedge is None else self._race
        retries: Retries | None = None  # a call that succeeds at once has nothing to decide
        if self.retry.budget is not None or is_recording():
            retries = self.retry.begin(began, began + time_left())
        last: Exception | None = None
        while True:
            try:
                if retries is None:
                    answer = await send(make, tokens, clock)
                else:
                    with span("attempt", number=retries.attempt), self._until(retries.deadline, last):
                        answer = await send(make, tokens, clock)
            except CallNotPermittedError as refused:
                raise refused from last
            except Exception as error:
                retries = retries or self.retry.begin(began, clock() + time_left())
                decision = retries.after(from_sdk(error), clock(), self._rng)
                if decision.wait is None:
                    if self.retry is not _ONCE:
                        error.add_note(f"attempt {retries.attempt} was the last: {decision.reason}")
                    raise
                last = error
            else:
                if retries is not None:
                    retries.success(clock())
                return answer
            with span("backoff", seconds=decision.wait, reason=decision.reason), pause(last):
                await asyncio.sleep(decision.wait)

    @staticmethod
    def _until(end: float, last: Exception | None) -> contextlib.AbstractContextManager[None]:
        """A retry is over when the retries' time is; the first attempt has what the outer deadline leaves."""
        return contextlib.nullcontext() if last is None or end == math.inf else deadline(end - now())

    async def _race(self, make: Callable[[], Awaitable[R]], tokens: float, clock: Clock) -> R:
        """The first answer of at most two requests."""
        assert self.hedge is not None
        tasks = [asyncio.create_task(self._send(make, tokens, clock))]
        winner = None
        try:
            delay = self.hedge.delay()
            done, _ = await asyncio.wait(tasks, timeout=None if delay == math.inf else delay)
            if not done:
                with span("hedge", after=delay):
                    tasks.append(asyncio.create_task(self._send(make, tokens, clock)))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if all(task.exception() for task in tasks if task.done()):
                    await asyncio.wait(tasks)
            answered = [task for task in tasks if task.done() and not task.exception()]
            winner = (answered or tasks)[0]
            return winner.result()
        finally:
            await _give_up([task for task in tasks if task is not winner])

    async def _send(self, make: Callable[[], Awaitable[R]], tokens: float, clock: Clock) -> R:
        """One request, once the limiter has let it through and all gates have admitted it."""
        if self.limit is not None:
            if any(gate.retry_after(clock()) for gate in self.gates):
                self._admit(clock())  # refuses: rather at once than after a turn in the queue
            with span("queue"):
                await self.limit.acquire(tokens)
        permits = self._admit(started := clock())
        left = min(self.timeout, time_left())
        try:
            if left == math.inf:
                value = await make()
            else:
                with deadline(left):
                    async with asyncio.timeout(left):
                        value = await make()
        except BaseException as error:
            ended = clock()
            settle(permits, ended, ended - started, from_sdk(error))
            raise
        ended = clock()
        if self.hedge is not None:
            self.hedge.record(ended - started)
        if isinstance(value, Opened):
            value.permits, value.took = permits, ended - started
        else:
            settle(permits, ended, ended - started)
        return value

    def _admit(self, at: float) -> Permits:
        try:
            return admit(self.gates, at, self._rng)
        except CallNotPermittedError as refused:
            with span("rejected", policy=refused.policy, retry_after=refused.retry_after):
                raise


async def _give_up(tasks: list[asyncio.Task[Any]]) -> None:
    """End requests whose answers are not wanted any more, and leave nothing behind."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Opened):
            await result.end()

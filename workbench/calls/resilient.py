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
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from workbench.calls.provider import ResilientProvider
from workbench.clock import deadline, now, time_left
from workbench.errors import CallNotPermittedError
from workbench.limiter import RateLimiter
from workbench.progress import pause
from workbench.providers.base import Provider, from_sdk
from workbench.resilience.breaker import CircuitBreaker, Permit
from workbench.resilience.concurrency import ConcurrencyLimit
from workbench.resilience.hedge import Hedge
from workbench.resilience.retry import RetryPolicy
from workbench.resilience.throttle import AdaptiveThrottle
from workbench.tracing import span

__all__ = ["Resilient", "Sent"]

P = ParamSpec("P")
R = TypeVar("R")
_ONCE = RetryPolicy(attempts=1)


class Gate(Protocol):
    """What admits calls: a breaker, a throttle, a concurrency limit."""

    def acquire(self, now: float, rng: random.Random) -> Permit | None: ...

    def record(
        self, permit: Permit, now: float, error: BaseException | None = None, took: float | None = None
    ) -> None: ...

    def release(self, permit: Permit) -> None: ...

    def retry_after(self, now: float) -> float: ...


class Sent(Generic[R]):
    """A request that has been answered; what it came to is still to be said to those who have admitted it."""

    __slots__ = ("_permits", "_took", "value")

    def __init__(self, value: R, permits: list[tuple[Gate, Permit]], took: float) -> None:
        self.value, self._permits, self._took = value, permits, took

    def end(self, error: BaseException | None = None) -> None:
        """Say it: None, it succeeded; an exception that is no error: it was given up."""
        settle(self._permits, now(), self._took, error)


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
        with span(getattr(fn, "__qualname__", "call")):
            sent = await self.run(lambda: fn(*args, **kwargs), self.cost(*args, **kwargs) if self.cost else 0)
        sent.end()
        return sent.value

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

    async def run(self, make: Callable[[], Awaitable[R]], tokens: float = 0) -> Sent[R]:
        """Attempt by attempt, until one is answered; the caller says by ``end()`` what the answer came to.

        Args:
            make: sends one request.
            tokens: that one is expected to be charged for.
        """
        began = now()
        retries = self.retry.begin(began, began + time_left())
        last: Exception | None = None
        while True:
            try:
                with span("attempt", number=retries.attempt), self._until(retries.deadline, last):
                    sent = await (
                        self._send(make, tokens) if self.hedge is None else self._race(make, tokens)
                    )
            except CallNotPermittedError as refused:
                raise refused from last
            except Exception as error:
                decision = retries.after(from_sdk(error), now(), self._rng)
                if decision.wait is None:
                    if self.retry is not _ONCE:
                        error.add_note(f"attempt {retries.attempt} was the last: {decision.reason}")
                    raise
                last = error
            else:
                retries.success(now())
                return sent
            with span("backoff", seconds=decision.wait, reason=decision.reason), pause(last):
                await asyncio.sleep(decision.wait)

    @staticmethod
    def _until(end: float, last: Exception | None) -> contextlib.AbstractContextManager[None]:
        """A retry is over when the retries' time is; the first attempt has what the outer deadline leaves."""
        return contextlib.nullcontext() if last is None or end == math.inf else deadline(end - now())

    async def _race(self, make: Callable[[], Awaitable[R]], tokens: float) -> Sent[R]:
        """The first answer of at most two requests."""
        assert self.hedge is not None
        tasks = [asyncio.create_task(self._send(make, tokens))]
        winner = None
        try:
            delay = self.hedge.delay()
            done, _ = await asyncio.wait(tasks, timeout=None if delay == math.inf else delay)
            if not done:
                with span("hedge", after=delay):
                    tasks.append(asyncio.create_task(self._send(make, tokens)))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if all(task.exception() for task in tasks if task.done()):
                    await asyncio.wait(tasks)
            answered = [task for task in tasks if task.done() and not task.exception()]
            winner = (answered or tasks)[0]
            return winner.result()
        finally:
            await _give_up([task for task in tasks if task is not winner])

    async def _send(self, make: Callable[[], Awaitable[R]], tokens: float) -> Sent[R]:
        """One request, once the limiter has let it through and all gates have admitted it."""
        if self.limit is not None:
            if any(gate.retry_after(now()) for gate in self.gates):
                self._admit(now())  # refuses: rather at once than after a turn in the queue
            with span("queue"):
                await self.limit.acquire(tokens)
        started = now()
        permits = self._admit(started)
        left = min(self.timeout, time_left())
        try:
            if left == math.inf:
                value = await make()
            else:
                with deadline(left):
                    async with asyncio.timeout(left):
                        value = await make()
        except BaseException as error:
            ended = now()
            settle(permits, ended, ended - started, error)
            raise
        took = now() - started
        if self.hedge is not None:
            self.hedge.record(took)
        return Sent(value, permits, took)

    def _admit(self, at: float) -> list[tuple[Gate, Permit]]:
        permits: list[tuple[Gate, Permit]] = []
        for gate in self.gates:
            permit = gate.acquire(at, self._rng)
            if permit is None:
                for before, given in permits:
                    before.release(given)
                wait, policy = gate.retry_after(at), type(gate).__name__
                with span("rejected", policy=policy, retry_after=wait):
                    raise CallNotPermittedError(policy, retry_after=wait)
            permits.append((gate, permit))
        return permits


def settle(permits: list[tuple[Gate, Permit]], at: float, took: float, error: BaseException | None) -> None:
    """Say to those who have admitted a request what it came to; one that was given up came to nothing."""
    if error is None:
        for gate, permit in permits:
            gate.record(permit, at, None, took)
    elif isinstance(error, Exception):
        known = from_sdk(error)
        for gate, permit in permits:
            gate.record(permit, at, known, took)
    else:
        for gate, permit in permits:
            gate.release(permit)


async def _give_up(tasks: list[asyncio.Task[Sent[Any]]]) -> None:
    """End requests whose answers are not wanted any more, and leave nothing behind."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Sent):
            result.end()
            if hasattr(result.value, "aclose"):
                await result.value.aclose()

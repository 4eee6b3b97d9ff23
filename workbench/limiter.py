"""The client's own rate limiter: it waits, so that the provider has no reason to refuse."""

from __future__ import annotations

import asyncio
import math

from workbench.clock import Timeline
from workbench.errors import CostExceedsLimitError
from workbench.limits import TokenBucket

__all__ = ["RateLimiter"]


class RateLimiter:
    """Requests and tokens a minute, first in, first out.

    The first in the queue sleeps until the buckets hold what it needs, takes it and goes; all others wait
    behind it.  So what is charged is charged at the instant of sending, as the provider does it; a large
    request does not starve; and whoever gives up has taken nothing.

    It may be shared by all tasks of a loop, and used again in a later run.

    Args:
        rpm: requests a minute; None: no limit.
        tpm: tokens a minute, input and output together; None: no limit.
        burst: the share of a minute's limit that may be used at once.  A provider's bucket starts full, but
            what is left of an earlier minute in it is unknown: 1 trusts it to be full.
        refund: whether the provider gives back what a request was charged for and did not use.  Anthropic
            counts the output tokens that were written; OpenAI holds `max_tokens` against the limit, come
            what may, and a client that counts on a refund is refused.

    Raises:
        ValueError: a limit is not positive, or `burst` is not in (0, 1].
    """

    def __init__(
        self,
        rpm: float | None = None,
        tpm: float | None = None,
        *,
        burst: float = 1.0,
        refund: bool = False,
    ) -> None:
        if not 0 < burst <= 1:
            raise ValueError(f"burst is a share of the limit, 0 < burst <= 1, got {burst!r}")
        self.refund = refund
        self._timeline = Timeline()
        self._requests = None if rpm is None else TokenBucket(max(1.0, rpm * burst), rpm / 60)
        self._tokens = None if tpm is None else TokenBucket(tpm * burst, tpm / 60)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()  # FIFO
        self._settled: asyncio.Future[None] | None = None  # what the first in the queue sleeps on

    async def acquire(self, tokens: float = 0) -> float:
        """Wait until one request of `tokens` may be sent.

        Returns:
            the seconds it has waited.

        Raises:
            CostExceedsLimitError: `tokens` is more than can ever be granted at once.
            ValueError: `tokens` is negative.
        """
        if not tokens >= 0:
            raise ValueError(f"tokens must be 0 or more, got {tokens!r}")
        arrived = now = self._timeline.now()
        if math.isinf(self._wait(tokens, now)):
            capacity = self._tokens.capacity if self._tokens else 0
            raise CostExceedsLimitError(
                f"a request of {tokens:g} tokens can never pass a limit of {capacity:g}: "
                "split it, or raise the limit"
            )
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a new run: nobody waits in the old one any more
            self._loop, self._turn = loop, asyncio.Lock()
        async with self._turn:
            now = self._timeline.now()
            while wait := self._wait(tokens, now):
                await self._sleep(wait, loop)
                now = self._timeline.now()
            for bucket, amount in ((self._requests, 1.0), (self._tokens, tokens)):
                if bucket is not None:
                    bucket.take(amount, now)
        return now - arrived

    def settle(self, estimated: float, actual: float) -> None:
        """Correct the tokens charged by :meth:`acquire` once the provider has told the real usage.

        What was used beyond the estimate is charged; what was not used is given back only with `refund`.
        """
        if self._tokens is not None and (actual > estimated or self.refund):
            self._tokens.take(actual - estimated, self._timeline.now())
            if self._settled is not None and not self._settled.done():
                self._settled.set_result(None)

    def _wait(self, tokens: float, now: float) -> float:
        requests = 0.0 if self._requests is None else self._requests.wait(1.0, now)
        return max(requests, 0.0 if self._tokens is None else self._tokens.wait(tokens, now))

    async def _sleep(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        """Sleep, or less if a settlement changes the bucket."""
        self._settled = loop.create_future()
        timer = loop.call_later(seconds, _wake, self._settled)
        try:
            await self._settled
        finally:
            timer.cancel()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

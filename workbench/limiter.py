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

    Whoever comes takes what they need at once, if need be into debt, and sleeps until the bucket has paid it
    back.  So the order of service is the order of the calls, and a large request does not starve.

    Args:
        rpm: requests a minute; None: no limit.
        tpm: tokens a minute, input and output together; None: no limit.
        burst: the share of a minute's limit that may be used at once.  A provider's bucket starts full, but
            what is left of an earlier minute in it is unknown: 1 trusts it to be full.

    Raises:
        ValueError: a limit is not positive, or `burst` is not in (0, 1].
    """

    def __init__(self, rpm: float | None = None, tpm: float | None = None, *, burst: float = 1.0) -> None:
        if not 0 < burst <= 1:
            raise ValueError(f"burst is a share of the limit, 0 < burst <= 1, got {burst!r}")
        self._timeline = Timeline()
        self._requests = None if rpm is None else TokenBucket(max(1.0, rpm * burst), rpm / 60)
        self._tokens = None if tpm is None else TokenBucket(tpm * burst, tpm / 60)

    async def acquire(self, tokens: float = 0) -> float:
        """Wait until one request of `tokens` may be sent.

        Returns:
            the seconds it has waited.

        Raises:
            CostExceedsLimitError: `tokens` is more than can ever be granted at once.
        """
        now = self._timeline.now()
        charges = [(self._requests, 1.0), (self._tokens, float(tokens))]
        owed = [(bucket, amount) for bucket, amount in charges if bucket is not None]
        for bucket, amount in owed:
            if math.isinf(bucket.wait(amount, now)):
                raise CostExceedsLimitError(
                    f"a request of {tokens:g} tokens can never pass a limit of {bucket.capacity:g}: "
                    "split it, or raise the limit"
                )
        wait = max((bucket.reserve(amount, now) for bucket, amount in owed), default=0.0)
        if wait:
            try:
                await asyncio.sleep(wait)
            except asyncio.CancelledError:
                for bucket, amount in owed:
                    bucket.take(-amount, now)
                raise
        return wait

    def settle(self, estimated: float, actual: float) -> None:
        """Correct the tokens charged by :meth:`acquire` once the provider has told the real usage."""
        if self._tokens is not None:
            self._tokens.take(actual - estimated, self._timeline.now())

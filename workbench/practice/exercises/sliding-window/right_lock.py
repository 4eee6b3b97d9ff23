import asyncio
import bisect
from dataclasses import dataclass, field


class TooManyCalls(Exception):
    def __init__(self, user, retry_after):
        super().__init__(user)
        self.retry_after = retry_after


@dataclass
class SlidingWindow:
    """Now and then, every user's list is looked through."""

    now: object
    limit: int
    seconds: float
    calls: dict[str, list[float]] = field(default_factory=dict)
    swept: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def call(self, user, fn):
        async with self.lock:
            at = self.now()
            if at - self.swept >= self.seconds:
                self.swept = at
                self.calls = {name: mine for name, mine in self.calls.items() if mine[-1] > at - self.seconds}
            mine = self.calls.get(user, [])
            mine = mine[bisect.bisect_right(mine, at - self.seconds) :]
            if len(mine) >= self.limit:
                raise TooManyCalls(user, mine[0] + self.seconds - at)
            self.calls[user] = [*mine, at]
        return await fn()

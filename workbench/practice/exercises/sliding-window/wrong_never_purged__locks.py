import asyncio
from collections import defaultdict


class TooManyCalls(Exception):
    pass


class SlidingWindow:
    """The times are taken away, but each user's lock stays."""

    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds
        self.calls = {}
        self.locks = defaultdict(asyncio.Lock)

    async def call(self, user, fn):
        async with self.locks[user]:
            now = self.now()
            for name in list(self.calls):
                self.calls[name] = [at for at in self.calls[name] if at > now - self.seconds]
                if not self.calls[name]:
                    del self.calls[name]
            if len(self.calls.get(user, [])) >= self.limit:
                raise TooManyCalls(user)
            self.calls.setdefault(user, []).append(now)
        return await fn()

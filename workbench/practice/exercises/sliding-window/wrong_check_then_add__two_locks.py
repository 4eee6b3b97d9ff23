import asyncio


class TooManyCalls(Exception):
    pass


class SlidingWindow:
    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds
        self.calls = []
        self.lock = asyncio.Lock()

    async def count(self, user):
        async with self.lock:
            await asyncio.sleep(0)
            self.calls = [(at, name) for at, name in self.calls if at > self.now() - self.seconds]
            return sum(name == user for _, name in self.calls)

    async def note(self, user):
        async with self.lock:
            self.calls.append((self.now(), user))

    async def call(self, user, fn):
        if await self.count(user) >= self.limit:
            raise TooManyCalls(user)
        await self.note(user)
        return await fn()

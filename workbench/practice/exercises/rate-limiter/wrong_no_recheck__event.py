import asyncio


class RateLimiter:
    """Everybody who waits is woken when there is room again."""

    def __init__(self, rpm, tpm):
        self.rpm, self.tpm = rpm, tpm
        self.level = [rpm, tpm]
        self.loop = asyncio.get_running_loop()
        self.at = self.loop.time()
        self.condition = asyncio.Condition()

    def refill(self):
        now = self.loop.time()
        caps = self.rpm, self.tpm
        self.level = [min(cap, have + cap * (now - self.at) / 60) for cap, have in zip(caps, self.level)]
        self.at = now

    def room(self, tokens):
        self.refill()
        return self.level[0] >= 1 - 1e-9 and self.level[1] >= tokens - 1e-9

    async def acquire(self, tokens):
        if tokens > self.tpm:
            raise ValueError("too many tokens")
        if not self.room(tokens):
            wait = max((1 - self.level[0]) * 60 / self.rpm, (tokens - self.level[1]) * 60 / self.tpm)
            self.loop.call_later(wait, lambda: asyncio.ensure_future(self.wake()))
            async with self.condition:
                await self.condition.wait()
        self.refill()
        self.level[0] -= 1
        self.level[1] -= tokens

    async def wake(self):
        async with self.condition:
            self.condition.notify_all()

    async def refund(self, tokens):
        self.level[1] = min(self.tpm, self.level[1] + tokens)

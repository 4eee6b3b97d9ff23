import asyncio
import collections


class RateLimiter:
    """Callers queue up as futures; one timer serves the first of them."""

    def __init__(self, rpm, tpm):
        self.rpm, self.tpm = rpm, tpm
        self.level = [rpm, tpm]
        self.waiting = collections.deque()
        self.loop = asyncio.get_running_loop()
        self.at = self.loop.time()
        self.timer = None

    def serve(self):
        now = self.loop.time()
        rates = self.rpm / 60, self.tpm / 60
        caps = self.rpm, self.tpm
        self.level = [
            min(cap, have + rate * (now - self.at))
            for cap, have, rate in zip(caps, self.level, rates, strict=True)
        ]
        self.at = now
        if self.timer:
            self.timer.cancel()
            self.timer = None
        while self.waiting:
            tokens, future = self.waiting[0]
            if future.done():
                self.waiting.popleft()
                continue
            missing = max((1 - self.level[0]) / rates[0], (tokens - self.level[1]) / rates[1])
            if missing > 1e-9:
                self.timer = self.loop.call_later(missing, self.serve)
                return
            self.level[0] -= 1
            self.level[1] -= tokens
            future.set_result(None)
            self.waiting.popleft()

    async def acquire(self, tokens):
        if tokens > self.tpm:
            raise ValueError("more than the limit")
        future = self.loop.create_future()
        self.waiting.append((tokens, future))
        self.serve()
        await future

    async def refund(self, tokens):
        self.level[1] = min(self.tpm, self.level[1] + tokens)
        self.serve()

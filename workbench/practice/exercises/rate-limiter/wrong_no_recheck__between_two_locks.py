import asyncio
import time


class RateLimiter:
    def __init__(self, rpm, tpm):
        self.rpm, self.tpm = rpm, tpm
        self.requests, self.tokens = rpm, tpm
        self.last, self.lock = time.monotonic(), asyncio.Lock()

    def refill(self):
        now = time.monotonic()
        self.requests = min(self.rpm, self.requests + (now - self.last) * self.rpm / 60)
        self.tokens = min(self.tpm, self.tokens + (now - self.last) * self.tpm / 60)
        self.last = now

    async def acquire(self, tokens):
        if tokens > self.tpm:
            raise ValueError("too many tokens")
        async with self.lock:
            self.refill()
            wait = max((1 - self.requests) * 60 / self.rpm, (tokens - self.tokens) * 60 / self.tpm, 0)
        await asyncio.sleep(wait)
        async with self.lock:
            self.refill()
            self.requests = max(0, self.requests - 1)
            self.tokens = max(0, self.tokens - tokens)

    async def refund(self, tokens):
        self.tokens = min(self.tpm, self.tokens + tokens)

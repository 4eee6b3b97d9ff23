import asyncio
import time


class RateLimiter:
    def __init__(self, rpm, tpm):
        self.rpm, self.tpm = rpm, tpm
        self.requests, self.tokens = rpm, tpm
        self.last = time.monotonic()
        self.lock = asyncio.Lock()

    def refill(self):
        now = time.monotonic()
        self.requests = min(self.rpm, self.requests + (now - self.last) * self.rpm / 60)
        self.tokens = min(self.tpm, self.tokens + (now - self.last) * self.tpm / 60)
        self.last = now

    async def acquire(self, tokens):
        if tokens > self.tpm:
            raise ValueError("too many tokens")
        while True:
            async with self.lock:
                self.refill()
                wait = max((1 - self.requests) * 60 / self.rpm, (tokens - self.tokens) * 60 / self.tpm)
                if wait <= 1e-9:
                    self.requests -= 1
                    self.tokens -= tokens
                    return
            await asyncio.sleep(wait)

    async def refund(self, tokens):
        async with self.lock:
            self.refill()
            self.tokens = min(self.tpm, self.tokens + tokens)

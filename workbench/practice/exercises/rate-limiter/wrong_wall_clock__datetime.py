import asyncio
from datetime import datetime, timedelta


class RateLimiter:
    def __init__(self, rpm, tpm):
        self.rpm, self.tpm = rpm, tpm
        self.requests, self.tokens = rpm, tpm
        self.last = datetime.now()
        self.lock = asyncio.Lock()

    def refill(self):
        now = datetime.now()
        minutes = max(timedelta(0), now - self.last) / timedelta(minutes=1)
        self.requests = min(self.rpm, self.requests + minutes * self.rpm)
        self.tokens = min(self.tpm, self.tokens + minutes * self.tpm)
        self.last = now

    async def acquire(self, tokens):
        if tokens > self.tpm:
            raise ValueError("too many tokens")
        async with self.lock:
            self.refill()
            while self.requests < 1 or self.tokens < tokens:
                await asyncio.sleep(0.05)
                self.refill()
            self.requests -= 1
            self.tokens -= tokens

    async def refund(self, tokens):
        self.tokens = min(self.tpm, self.tokens + tokens)

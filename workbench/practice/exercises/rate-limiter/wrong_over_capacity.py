import asyncio


class RateLimiter:
    def __init__(self, rpm, tpm):
        self.rpm, self.tpm = rpm, tpm
        self.requests, self.tokens = float(rpm), float(tpm)
        self.filled = None
        self.turn = asyncio.Lock()  # its waiters are served in order: it is the queue

    def fill(self):
        now = asyncio.get_running_loop().time()
        passed = 0.0 if self.filled is None else now - self.filled
        self.requests = min(self.rpm, self.requests + passed * self.rpm / 60)
        self.tokens = min(self.tpm, self.tokens + passed * self.tpm / 60)
        self.filled = now

    async def acquire(self, tokens):
        """Wait until one request of so many tokens may be sent."""
        async with self.turn:  # the buckets themselves are free: refund() needs no lock
            while True:
                self.fill()
                wait = max((1 - self.requests) * 60 / self.rpm, (tokens - self.tokens) * 60 / self.tpm)
                if wait <= 1e-9:
                    break
                await asyncio.sleep(wait)
            self.requests -= 1
            self.tokens -= tokens

    async def refund(self, tokens):
        """Give back tokens that an estimate took too many."""
        self.fill()
        self.tokens = min(self.tpm, self.tokens + tokens)

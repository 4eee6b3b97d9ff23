import asyncio
import itertools
import time


class RateLimiter:
    """Tickets: who holds the lowest one looks every tenth of a second."""

    def __init__(self, rpm, tpm):
        self.caps = (rpm, tpm)
        self.have = [float(rpm), float(tpm)]
        self.last = time.perf_counter()
        self.lock = asyncio.Lock()
        self.tickets = itertools.count()
        self.queue = []

    def _refill(self):
        now = time.perf_counter()
        for index, cap in enumerate(self.caps):
            self.have[index] = min(cap, self.have[index] + cap * (now - self.last) / 60)
        self.last = now

    async def acquire(self, tokens):
        if tokens > self.caps[1]:
            raise ValueError("never")
        ticket = next(self.tickets)
        self.queue.append(ticket)
        try:
            while True:
                async with self.lock:
                    self._refill()
                    if self.queue[0] == ticket and self.have[0] >= 1 and self.have[1] >= tokens:
                        self.have[0] -= 1
                        self.have[1] -= tokens
                        return
                await asyncio.sleep(0.1)
        finally:
            self.queue.remove(ticket)

    async def refund(self, tokens):
        async with self.lock:
            self._refill()
            self.have[1] = min(self.caps[1], self.have[1] + tokens)

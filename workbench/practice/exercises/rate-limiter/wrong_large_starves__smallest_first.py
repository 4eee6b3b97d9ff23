import asyncio
import heapq
import itertools


class RateLimiter:
    def __init__(self, rpm, tpm):
        self.rpm, self.tpm = rpm, tpm
        self.requests, self.tokens = rpm, tpm
        self.loop = asyncio.get_running_loop()
        self.last = self.loop.time()
        self.number = itertools.count()
        self.heap = []
        self.timer = None

    def serve(self):
        now = self.loop.time()
        self.requests = min(self.rpm, self.requests + (now - self.last) * self.rpm / 60)
        self.tokens = min(self.tpm, self.tokens + (now - self.last) * self.tpm / 60)
        self.last = now
        if self.timer:
            self.timer.cancel()
        while self.heap:
            tokens, _, future = self.heap[0]
            wait = max((1 - self.requests) * 60 / self.rpm, (tokens - self.tokens) * 60 / self.tpm)
            if not future.done():
                if wait > 1e-9:
                    self.timer = self.loop.call_later(wait, self.serve)
                    return
                self.requests -= 1
                self.tokens -= tokens
                future.set_result(None)
            heapq.heappop(self.heap)

    async def acquire(self, tokens):
        if tokens > self.tpm:
            raise ValueError("too many tokens")
        future = self.loop.create_future()
        heapq.heappush(self.heap, (tokens, next(self.number), future))
        self.serve()
        await future

    async def refund(self, tokens):
        self.tokens = min(self.tpm, self.tokens + tokens)
        self.serve()

import asyncio
import time


class Bucket:
    """It may go below zero: what is owed has to be waited for, and those behind wait for that too."""

    def __init__(self, capacity):
        self.capacity = self.level = capacity
        self.at = time.monotonic()

    def fill(self):
        at = time.monotonic()
        self.level = min(self.capacity, self.level + (at - self.at) * self.capacity / 60)
        self.at = at

    def take(self, amount):
        self.fill()
        self.level -= amount
        return max(0.0, -self.level * 60 / self.capacity)

    def give(self, amount):
        self.fill()
        self.level = min(self.capacity, self.level + amount)


class RateLimiter:
    def __init__(self, rpm, tpm):
        self.buckets = Bucket(rpm), Bucket(tpm)
        self.last = 0.0

    async def acquire(self, tokens):
        requests, all_tokens = self.buckets
        if tokens > all_tokens.capacity:
            raise ValueError(tokens)
        wait = max(requests.take(1), all_tokens.take(tokens))
        mine = self.last = max(self.last, time.monotonic() + wait)
        await asyncio.sleep(max(0.0, mine - time.monotonic()))

    async def refund(self, tokens):
        self.buckets[1].give(tokens)

import time
from collections import deque


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self.most, self.started = concurrency, deque()

    async def run(self, call):
        now = time.monotonic()
        while self.started and self.started[0] <= now - 1.0:
            self.started.popleft()
        if len(self.started) >= self.most:
            raise Overloaded
        self.started.append(now)
        return await call()

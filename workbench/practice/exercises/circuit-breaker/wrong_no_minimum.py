import asyncio
from collections import deque


class CircuitOpenError(Exception):
    """The breaker is open: the call was not made."""


class CircuitBreaker:
    def __init__(self, now, *, window=30.0, minimum=10, threshold=0.5, slow=5.0, cooldown=20.0):
        self.now, self.window, self.minimum = now, window, minimum
        self.threshold, self.slow, self.cooldown = threshold, slow, cooldown
        self.record = deque()  # (when it ended, whether it failed)
        self.open_until = None  # None: closed
        self.probing = False
        self.period = 0  # between two changes of state: a result counts only in its own

    async def call(self, fn):
        """Await fn() and give its result, or raise CircuitOpenError without calling it."""
        start = self.now()
        if self.open_until is not None:
            if self.probing or start < self.open_until:
                raise CircuitOpenError
            self.probing = True
            self.period += 1
        period = self.period
        try:
            result = await fn()
        except asyncio.CancelledError:
            if period == self.period:
                self.probing = False
            raise
        except Exception as error:
            self.ended(period, failed=not 400 <= getattr(error, "status", 500) < 500)
            raise
        self.ended(period, failed=self.now() - start > self.slow)
        return result

    def ended(self, period, failed):
        if period != self.period:
            return
        now = self.now()
        if self.probing:
            self.change(now + self.cooldown if failed else None)
            return
        self.record.append((now, failed))
        while self.record[0][0] <= now - self.window:
            self.record.popleft()
        failures = sum(failed for _, failed in self.record)
        if failures >= self.threshold * len(self.record):
            self.change(now + self.cooldown)

    def change(self, open_until):
        self.open_until, self.probing = open_until, False
        self.record.clear()
        self.period += 1

import asyncio


class CircuitOpenError(Exception):
    pass


class CircuitBreaker:
    def __init__(self, now, *, window=30.0, minimum=10, threshold=0.5, slow=5.0, cooldown=20.0):
        self.now, self.window, self.minimum = now, window, minimum
        self.threshold, self.slow, self.cooldown = threshold, slow, cooldown
        self.state, self.opened, self.record = "closed", 0.0, []

    async def call(self, fn):
        if self.state == "open" and self.now() - self.opened >= self.cooldown:
            self.state = "half-open"
        elif self.state != "closed":
            raise CircuitOpenError
        start = self.now()
        try:
            result = await fn()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if 400 <= getattr(error, "status", 500) < 500:
                self.succeeded()
            else:
                self.failed()
            raise
        if self.now() - start > self.slow:
            self.failed()
        else:
            self.succeeded()
        return result

    def succeeded(self):
        if self.state != "closed":
            self.state, self.record = "closed", []
        self.record.append((self.now(), False))

    def failed(self):
        self.record = [each for each in self.record if each[0] > self.now() - self.window]
        self.record.append((self.now(), True))
        bad = sum(failed for _, failed in self.record)
        enough = len(self.record) >= self.minimum and bad >= self.threshold * len(self.record)
        if enough or self.state == "half-open":
            self.state, self.opened = "open", self.now()

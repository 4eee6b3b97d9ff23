import asyncio


class CircuitOpenError(Exception):
    pass


class Closed:
    def __init__(self, breaker):
        self.breaker, self.calls = breaker, []

    def enter(self):
        pass

    def ended(self, failed):
        now, breaker = self.breaker.now(), self.breaker
        self.calls = [each for each in self.calls if each[0] >= now - breaker.window] + [(now, failed)]
        bad = sum(failed for _, failed in self.calls)
        if len(self.calls) >= breaker.minimum and bad >= breaker.threshold * len(self.calls):
            breaker.state = Open(breaker, now + breaker.cooldown)


class Open:
    def __init__(self, breaker, until):
        self.breaker, self.until, self.probing = breaker, until, False

    def enter(self):
        if self.probing or self.breaker.now() < self.until:
            raise CircuitOpenError
        self.probing = True

    def ended(self, failed):
        breaker = self.breaker
        breaker.state = Open(breaker, breaker.now() + breaker.cooldown) if failed else Closed(breaker)


class CircuitBreaker:
    def __init__(self, now, *, window=30.0, minimum=10, threshold=0.5, slow=5.0, cooldown=20.0):
        self.now, self.window, self.minimum, self.threshold = now, window, minimum, threshold
        self.slow, self.cooldown = slow, cooldown
        self.state = Closed(self)

    async def call(self, fn):
        self.state.enter()
        start = self.now()
        try:
            value = await fn()
        except asyncio.CancelledError:
            self.state.probing = False
            raise
        except Exception as error:
            self.state.ended(not 400 <= getattr(error, "status", 500) < 500)
            raise
        self.state.ended(self.now() - start > self.slow)
        return value

import asyncio
from contextlib import asynccontextmanager


class CircuitOpenError(Exception):
    pass


class Closed:
    """Each state is an object: a result is told to the state in which its call began."""

    def __init__(self, breaker):
        self.breaker, self.results = breaker, []

    def enter(self):
        pass

    def leave(self, failed):
        b, now = self.breaker, self.breaker.now()
        if b.state is not self or failed is None:
            return
        self.results = [(at, bad) for at, bad in self.results if at > now - b.options["window"]]
        self.results.append((now, failed))
        bad = [at for at, bad in self.results if bad]
        enough = len(self.results) >= b.options["minimum"]
        if enough and len(bad) / len(self.results) >= b.options["threshold"]:
            b.state = Open(b)


class Open:
    def __init__(self, breaker):
        self.breaker, self.since, self.probe = breaker, breaker.now(), False

    def enter(self):
        if self.probe or self.breaker.now() - self.since < self.breaker.options["cooldown"]:
            raise CircuitOpenError(f"open since {self.since}")
        self.probe = True

    def leave(self, failed):
        self.probe = False
        if failed is not None:
            self.breaker.state = Open(self.breaker) if failed else Closed(self.breaker)


class CircuitBreaker:
    def __init__(self, now, *, window=30.0, minimum=10, threshold=0.5, slow=5.0, cooldown=20.0):
        self.now = now
        self.options = {"window": window, "minimum": minimum, "threshold": threshold, "slow": slow}
        self.options["cooldown"] = cooldown
        self.state = Closed(self)

    @asynccontextmanager
    async def guarded(self):
        state, began = self.state, self.now()
        state.enter()
        try:
            yield
        except asyncio.CancelledError:
            state.leave(None)
            raise
        except Exception as error:
            status = getattr(error, "status", None)
            state.leave(not (status and 400 <= status <= 499))
            raise
        state.leave(self.now() - began > self.options["slow"])

    async def call(self, fn):
        async with self.guarded():
            return await fn()

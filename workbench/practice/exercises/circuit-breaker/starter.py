class CircuitOpenError(Exception):
    """The breaker is open: the call was not made."""


class CircuitBreaker:
    def __init__(self, now, *, window=30.0, minimum=10, threshold=0.5, slow=5.0, cooldown=20.0):
        self.now = now

    async def call(self, fn):
        """Await fn() and give its result, or raise CircuitOpenError without calling it."""
        return await fn()

class TooManyCalls(Exception):
    """The user has used up the limit: the call was not made."""


class SlidingWindow:
    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds

    async def call(self, user, fn):
        """Await fn() and give its result, or raise TooManyCalls without calling it."""
        return await fn()

class TooManyCalls(Exception):
    pass


class SlidingWindow:
    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds
        self.begun, self.counts = now(), {}

    async def call(self, user, fn):
        if self.now() - self.begun >= self.seconds:
            self.begun, self.counts = self.now(), {}
        if self.counts.get(user, 0) >= self.limit:
            raise TooManyCalls(user)
        self.counts[user] = self.counts.get(user, 0) + 1
        return await fn()

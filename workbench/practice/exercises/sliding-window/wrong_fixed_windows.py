from collections import Counter


class TooManyCalls(Exception):
    pass


class SlidingWindow:
    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds
        self.window, self.counts = None, Counter()

    async def call(self, user, fn):
        window = self.now() // self.seconds
        if window != self.window:
            self.window = window
            self.counts.clear()
        if self.counts[user] >= self.limit:
            raise TooManyCalls(user)
        self.counts[user] += 1
        return await fn()

class TooManyCalls(Exception):
    pass


class SlidingWindow:
    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds
        self.windows = {}

    async def call(self, user, fn):
        now = self.now()
        for name in [name for name, (start, _) in self.windows.items() if start <= now - self.seconds]:
            del self.windows[name]
        start, count = self.windows.get(user, (now, 0))
        if count >= self.limit:
            raise TooManyCalls(user)
        self.windows[user] = start, count + 1
        return await fn()

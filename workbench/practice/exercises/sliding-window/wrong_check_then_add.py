class TooManyCalls(Exception):
    pass


class SlidingWindow:
    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds
        self.calls = {}

    async def call(self, user, fn):
        now = self.now()
        self.calls = {
            name: kept
            for name, times in self.calls.items()
            if (kept := [at for at in times if at > now - self.seconds])
        }
        if len(self.calls.get(user, [])) >= self.limit:
            raise TooManyCalls(user)
        try:
            return await fn()
        finally:
            self.calls.setdefault(user, []).append(now)

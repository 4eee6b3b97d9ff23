from collections import defaultdict, deque


class TooManyCalls(Exception):
    pass


class SlidingWindow:
    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds
        self.calls = defaultdict(deque)

    async def call(self, user, fn):
        now, mine = self.now(), self.calls[user]
        while mine and mine[0] <= now - self.seconds:
            mine.popleft()
        if len(mine) >= self.limit:
            raise TooManyCalls(user)
        mine.append(now)
        return await fn()

import asyncio


class TooManyCalls(Exception):
    pass


class SlidingWindow:
    """A user's record is a list of `limit` places, used in turn; a timer of the loop takes it away."""

    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds
        self.rings = {}

    async def call(self, user, fn):
        now = self.now()
        ring = self.rings.setdefault(user, [0, [float("-inf")] * self.limit, None])
        place, times, timer = ring
        if times[place] > now - self.seconds:
            raise TooManyCalls
        times[place] = now
        ring[0] = (place + 1) % self.limit
        if timer:
            timer.cancel()
        ring[2] = asyncio.get_running_loop().call_later(self.seconds, self.rings.pop, user, None)
        return await fn()

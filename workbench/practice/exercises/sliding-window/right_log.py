import collections


class TooManyCalls(Exception):
    pass


class SlidingWindow:
    """One log for all users, in order of time: what is old is at its beginning."""

    def __init__(self, now, limit, seconds):
        log, counts = collections.deque(), collections.Counter()

        async def call(user, fn):
            at = now()
            while log and log[0][0] <= at - seconds:
                _, old = log.popleft()
                counts[old] -= 1
                if not counts[old]:
                    del counts[old]
            if counts[user] >= limit:
                raise TooManyCalls(user)
            counts[user] += 1
            log.append((at, user))
            return await fn()

        self.call = call

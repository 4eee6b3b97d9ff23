from collections import OrderedDict, deque


class TooManyCalls(Exception):
    """The user has used up the limit: the call was not made."""


class SlidingWindow:
    def __init__(self, now, limit, seconds):
        self.now, self.limit, self.seconds = now, limit, seconds
        self.began = OrderedDict()  # user: when the calls that count began; who called last is at the end

    async def call(self, user, fn):
        """Await fn() and give its result, or raise TooManyCalls without calling it."""
        self.admit(user)
        return await fn()

    def admit(self, user):
        """Note a call of this user's; no await is in here, so nothing comes between check and note."""
        now = self.now()
        self.purge(now)
        began = self.began.get(user, deque())
        while began and began[0] <= now - self.seconds:
            began.popleft()
        if len(began) >= self.limit:
            raise TooManyCalls(f"{user} has begun {self.limit} calls in {self.seconds} s")
        began.append(now)
        self.began[user] = began
        self.began.move_to_end(user)

    def purge(self, now):
        """Forget the users whose last call counts no more: they are at the beginning."""
        while self.began:
            user, began = next(iter(self.began.items()))
            if began[-1] > now - self.seconds:
                return
            del self.began[user]

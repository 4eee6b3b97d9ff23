class SingleFlight:
    def __init__(self, fetch, ttl):
        """`await fetch(request)` gives an answer, or raises; an answer is good for `ttl` seconds."""
        self.fetch, self.ttl = fetch, ttl

    async def get(self, request):
        """The answer to a request: an old one, the one that is being fetched, or a new one."""
        return await self.fetch(request)

import asyncio
import time


class SingleFlight:
    def __init__(self, fetch, ttl):
        self.fetch, self.ttl = fetch, ttl
        self.answers, self.calls = {}, {}

    async def get(self, request):
        key = repr(sorted(request.items()))
        answer, good_until = self.answers.get(key, (None, float("-inf")))
        if time.monotonic() < good_until:
            return answer
        if key not in self.calls:
            self.calls[key] = asyncio.create_task(self._call(key, request))
        return await asyncio.shield(self.calls[key])

    async def _call(self, key, request):
        try:
            answer = await self.fetch(request)
            self.answers[key] = answer, time.monotonic() + self.ttl
            return answer
        finally:
            del self.calls[key]

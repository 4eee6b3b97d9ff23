import asyncio
import json
import time


class SingleFlight:
    def __init__(self, fetch, ttl):
        """`await fetch(request)` gives an answer, or raises; an answer is good for `ttl` seconds."""
        self.fetch, self.ttl = fetch, ttl
        self.answers, self.calls = {}, {}

    async def get(self, request):
        """The answer to a request: an old one, the one that is being fetched, or a new one."""
        key = json.dumps(request, sort_keys=True)
        answer, good_until = self.answers.get(key, (None, float("-inf")))
        if time.monotonic() < good_until:
            return answer
        if key not in self.calls:
            self.calls[key] = asyncio.create_task(self._call(key, request))
            self.calls[key].add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self.calls[key])

    async def _call(self, key, request):
        try:
            answer = await self.fetch(request)
            self.answers[key] = answer, time.monotonic() + self.ttl
            return answer
        finally:
            del self.calls[key]

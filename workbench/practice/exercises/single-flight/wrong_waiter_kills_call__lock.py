import asyncio
import json
import time
from collections import defaultdict


class SingleFlight:
    def __init__(self, fetch, ttl):
        self.fetch, self.ttl = fetch, ttl
        self.answers, self.locks = {}, defaultdict(asyncio.Lock)

    async def get(self, request):
        key = json.dumps(request, sort_keys=True)
        async with self.locks[key]:
            answer, good_until = self.answers.get(key, (None, float("-inf")))
            if time.monotonic() < good_until:
                return answer
            answer = await self.fetch(request)
            self.answers[key] = answer, time.monotonic() + self.ttl
            return answer

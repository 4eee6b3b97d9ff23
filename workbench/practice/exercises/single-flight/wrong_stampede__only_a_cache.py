import json
import time


class SingleFlight:
    def __init__(self, fetch, ttl):
        self.fetch, self.ttl, self.answers = fetch, ttl, {}

    async def get(self, request):
        key = json.dumps(request, sort_keys=True)
        answer, good_until = self.answers.get(key, (None, float("-inf")))
        if time.monotonic() < good_until:
            return answer
        answer = await self.fetch(request)
        self.answers[key] = answer, time.monotonic() + self.ttl
        return answer

import asyncio
import json
import time


class SingleFlight:
    def __init__(self, fetch, ttl):
        self.fetch, self.ttl = fetch, ttl
        self.answers, self.futures = {}, {}

    async def get(self, request):
        key = json.dumps(request, sort_keys=True)
        answer, good_until = self.answers.get(key, (None, float("-inf")))
        if time.monotonic() < good_until:
            return answer
        if key in self.futures:
            return await asyncio.shield(self.futures[key])
        future = self.futures[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self.fetch(request)
        except Exception as error:
            future.set_exception(error)
            future.exception()
            raise
        else:
            future.set_result(answer)
            self.answers[key] = answer, time.monotonic() + self.ttl
            return answer
        finally:
            future.cancel()
            del self.futures[key]

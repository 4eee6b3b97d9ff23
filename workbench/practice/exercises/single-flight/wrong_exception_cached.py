import asyncio
import json
import time


class SingleFlight:
    def __init__(self, fetch, ttl):
        self.fetch, self.ttl = fetch, ttl
        self.entries = {}

    async def get(self, request):
        key = json.dumps(request, sort_keys=True)
        task, good_until = self.entries.get(key, (None, 0.0))
        if task is None or (task.done() and time.monotonic() >= good_until):
            task = asyncio.create_task(self.fetch(request))
            self.entries[key] = task, float("inf")
            task.add_done_callback(lambda done: self._keep(key, done))
        return await asyncio.shield(task)

    def _keep(self, key, task):
        self.entries[key] = task, time.monotonic() + self.ttl

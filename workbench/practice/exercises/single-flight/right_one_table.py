import asyncio
import json


class SingleFlight:
    """One table of tasks: each is forgotten when it has failed, or when its answer is too old."""

    def __init__(self, fetch, ttl):
        self.fetch, self.ttl, self.tasks = fetch, ttl, {}

    async def get(self, request):
        key = json.dumps(request, sort_keys=True, separators=(",", ":"))
        task = self.tasks.get(key)
        if task is None:
            task = self.tasks[key] = asyncio.ensure_future(self.fetch(request))
            task.add_done_callback(lambda done: self.ended(key, done))
        return await asyncio.shield(task)

    def ended(self, key, task):
        if task.cancelled() or task.exception():
            del self.tasks[key]
        else:
            asyncio.get_running_loop().call_later(self.ttl, self.tasks.pop, key)

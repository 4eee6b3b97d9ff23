import asyncio


def frozen(value):
    """A hashable value that is equal to another's exactly if the JSON values are."""
    if isinstance(value, dict):
        return ("object", frozenset((key, frozen(each)) for key, each in value.items()))
    if isinstance(value, (list, tuple)):
        return ("array", tuple(frozen(each) for each in value))
    return (type(value).__name__, value)


class SingleFlight:
    """Every waiter has a future of its own, so that there is nothing to shield."""

    def __init__(self, fetch, ttl):
        self.fetch, self.ttl = fetch, ttl
        self.known, self.waiting, self.tasks = {}, {}, set()

    async def get(self, request):
        loop, key = asyncio.get_running_loop(), frozen(request)
        if key in self.known:
            answer, at = self.known[key]
            if loop.time() - at < self.ttl:
                return answer
            del self.known[key]
        mine = loop.create_future()
        if key in self.waiting:
            self.waiting[key].append(mine)
        else:
            self.waiting[key] = [mine]
            task = loop.create_task(self.run(key, request))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return await mine

    async def run(self, key, request):
        answer = error = None
        try:
            answer = await self.fetch(request)
            self.known[key] = answer, asyncio.get_running_loop().time()
        except Exception as exc:
            error = exc
        for future in self.waiting.pop(key):
            if future.done():
                continue
            if error:
                future.set_exception(error)
            else:
                future.set_result(answer)

import asyncio


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self.capacity, self.inside = concurrency + queue, 0
        self.places = asyncio.Semaphore(concurrency)

    async def run(self, call):
        self.inside += 1
        try:
            if self.inside > self.capacity:
                task = asyncio.ensure_future(call())
                await asyncio.sleep(0)
                task.cancel()
                raise Overloaded
            async with self.places:
                return await call()
        finally:
            self.inside -= 1

import asyncio


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self.places, self.capacity = asyncio.Semaphore(concurrency), concurrency + queue
        self.tasks = set()

    async def run(self, call):
        async def admitted():
            async with self.places:
                return await call()

        task = asyncio.create_task(admitted())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if len(self.tasks) > self.capacity:
            raise Overloaded
        return await task

import asyncio


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self.places = asyncio.Semaphore(concurrency)

    async def run(self, call):
        async with self.places:
            return await call()

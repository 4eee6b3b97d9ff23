import asyncio


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self.places, self.most = asyncio.Semaphore(concurrency), queue
        self.waiting = 0

    async def run(self, call):
        ahead, self.waiting = self.waiting, self.waiting + 1
        async with self.places:
            self.waiting -= 1
            if ahead > self.most + 3:
                raise Overloaded
            return await call()

import asyncio


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self.places = asyncio.Semaphore(concurrency)
        self.tickets = asyncio.Queue(maxsize=concurrency + queue)

    async def run(self, call):
        await self.tickets.put(None)
        try:
            async with self.places:
                return await call()
        finally:
            self.tickets.get_nowait()

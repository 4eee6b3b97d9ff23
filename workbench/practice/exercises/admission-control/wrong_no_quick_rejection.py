import asyncio


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self.places = asyncio.Semaphore(concurrency)
        self.tickets = asyncio.Semaphore(concurrency + queue)

    async def run(self, call):
        try:
            await asyncio.wait_for(self.tickets.acquire(), timeout=5.0)
        except TimeoutError:
            raise Overloaded from None
        try:
            async with self.places:
                return await call()
        finally:
            self.tickets.release()

import asyncio


class Overloaded(Exception):
    """There is no place: the call was not made."""


class Admission:
    def __init__(self, concurrency, queue):
        self.capacity = concurrency + queue
        self.places = asyncio.Semaphore(concurrency)
        self.inside = 0  # running or waiting

    async def run(self, call):
        """Await call() when there is a place, and give its result; raise Overloaded if the queue is full."""
        if self.inside >= self.capacity:
            raise Overloaded(f"{self.inside} calls are running or waiting")
        self.inside += 1
        try:
            async with self.places:
                return await call()
        finally:
            self.inside -= 1

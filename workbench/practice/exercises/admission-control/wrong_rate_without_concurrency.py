import asyncio


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self.rate, self.queue = concurrency, queue
        self.next, self.waiting = 0.0, 0

    async def run(self, call):
        now = asyncio.get_running_loop().time()
        if self.next > now:
            if self.waiting >= self.queue:
                raise Overloaded
            self.next += 1 / self.rate
            self.waiting += 1
            try:
                await asyncio.sleep(self.next - 1 / self.rate - now)
            finally:
                self.waiting -= 1
        else:
            self.next = now + 1 / self.rate
        return await call()

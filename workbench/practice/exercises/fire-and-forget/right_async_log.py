import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.queue = asyncio.Queue()
        self.workers = [asyncio.create_task(self.work()) for _ in range(4)]

    async def log(self, record):
        await self.queue.put(record)

    async def work(self):
        while (record := await self.queue.get()) is not None:
            try:
                await self.send(record)
            except Exception as error:
                self.report(record, error)

    async def close(self):
        for _ in self.workers:
            self.queue.put_nowait(None)
        await asyncio.wait(self.workers)

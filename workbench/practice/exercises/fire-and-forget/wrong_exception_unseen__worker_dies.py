import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.queue = asyncio.Queue()
        self.worker = asyncio.create_task(self.work())

    def log(self, record):
        self.queue.put_nowait(record)

    async def work(self):
        while (record := await self.queue.get()) is not None:
            await self.send(record)

    async def close(self):
        self.queue.put_nowait(None)
        await asyncio.wait({self.worker})

import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.queue = asyncio.Queue(maxsize=10)
        self.worker = asyncio.create_task(self.work())

    async def log(self, record):
        await self.queue.put(record)

    async def work(self):
        while True:
            record = await self.queue.get()
            try:
                await self.send(record)
            except Exception as error:
                self.report(record, error)
            self.queue.task_done()

    async def close(self):
        await self.queue.join()
        self.worker.cancel()

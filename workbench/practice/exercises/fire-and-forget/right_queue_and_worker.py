import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.queue = asyncio.Queue()
        self.worker = asyncio.create_task(self.work())

    def log(self, record):
        self.queue.put_nowait(record)

    async def work(self):
        while True:
            record = await self.queue.get()
            try:
                await self.send(record)
            except Exception as error:
                self.report(record, error)
            finally:
                self.queue.task_done()

    async def close(self):
        await self.queue.join()
        self.worker.cancel()
        await asyncio.gather(self.worker, return_exceptions=True)

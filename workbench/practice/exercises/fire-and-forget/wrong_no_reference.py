import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.open = 0
        self.places = asyncio.Semaphore(8)

    def log(self, record):
        self.open += 1
        asyncio.create_task(self.write(record))

    async def write(self, record):
        try:
            async with self.places:
                await self.send(record)
        except Exception as error:
            self.report(record, error)
        finally:
            self.open -= 1

    async def close(self):
        while self.open:
            await asyncio.sleep(0.01)

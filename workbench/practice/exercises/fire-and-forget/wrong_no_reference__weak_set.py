import asyncio
import weakref


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.tasks = weakref.WeakSet()

    def log(self, record):
        self.tasks.add(asyncio.ensure_future(self.write(record)))

    async def write(self, record):
        try:
            await self.send(record)
        except Exception as error:
            self.report(record, error)

    async def close(self):
        await asyncio.gather(*self.tasks)

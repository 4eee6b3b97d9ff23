import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.tasks = []

    def log(self, record):
        self.tasks.append(asyncio.create_task(self.send(record)))

    async def close(self):
        await asyncio.gather(*self.tasks)

import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.tasks = set()

    def log(self, record):
        task = asyncio.create_task(self.write(record))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def write(self, record):
        try:
            await self.send(record)
        except Exception as error:
            self.report(record, error)

    async def close(self):
        for task in self.tasks:
            task.cancel()

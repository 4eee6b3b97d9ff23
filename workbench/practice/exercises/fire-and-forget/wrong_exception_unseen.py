import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.tasks = set()

    def log(self, record):
        task = asyncio.create_task(self.send(record))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def close(self):
        await asyncio.gather(*self.tasks, return_exceptions=True)

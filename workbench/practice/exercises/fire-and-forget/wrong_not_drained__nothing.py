import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        self.send, self.report = send, report
        self.tasks = set()

    def log(self, record):
        task = asyncio.create_task(self.send(record))
        self.tasks.add(task)
        task.add_done_callback(lambda done: self.done(record, done))

    def done(self, record, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            self.report(record, task.exception())

    async def close(self):
        self.tasks.clear()

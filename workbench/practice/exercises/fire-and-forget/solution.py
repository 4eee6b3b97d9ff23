import asyncio


class BackgroundLog:
    def __init__(self, send, report):
        """`await send(record)` writes a record; `report(record, error)` is told of one that it could not."""
        self.send, self.report = send, report
        self.tasks = set()
        self.places = asyncio.Semaphore(8)

    def log(self, record):
        """Take a record, and return at once."""
        task = asyncio.create_task(self._write(record))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def close(self):
        """Return when every record that was logged has been sent, or reported."""
        while self.tasks:
            await asyncio.wait(self.tasks)

    async def _write(self, record):
        async with self.places:
            try:
                await self.send(record)
            except Exception as error:
                self.report(record, error)

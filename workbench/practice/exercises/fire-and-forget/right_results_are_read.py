import asyncio


class BackgroundLog:
    """Each task by its record; what became of it is read when it is done."""

    def __init__(self, send, report):
        self._send, self._report, self._open = send, report, {}
        self._turn = asyncio.Lock()

    async def _one(self, record):
        async with self._turn:
            await self._send(record)

    def log(self, record):
        task = asyncio.get_running_loop().create_task(self._one(record))
        self._open[task] = record
        task.add_done_callback(self._done)

    def _done(self, task):
        record = self._open.pop(task)
        if not task.cancelled() and task.exception():
            self._report(record, task.exception())

    async def close(self):
        await asyncio.gather(*self._open, return_exceptions=True)
        while self._open:
            await asyncio.sleep(0)

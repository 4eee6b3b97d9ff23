import asyncio
from collections import deque

END = object()


def BackgroundLog(send, report):
    return _Log(send, report)


class _Log:
    """One worker that is started when there is work, and ends at a sentinel."""

    def __init__(self, send, report):
        self.records, self.more, self.worker = deque(), asyncio.Event(), None
        self.send, self.report = send, report

    def log(self, record):
        self.records.append(record)
        self.more.set()
        self.worker = self.worker or asyncio.ensure_future(self.write_all())

    async def write_all(self):
        while await self.more.wait():
            self.more.clear()
            while self.records:
                if (record := self.records.popleft()) is END:
                    return
                try:
                    await self.send(record)
                except Exception as error:
                    self.report(record, error)

    async def close(self):
        self.log(END)
        await self.worker

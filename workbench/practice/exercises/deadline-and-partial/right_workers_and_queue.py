import asyncio
import time


class Collector:
    def __init__(self, sources, query):
        self.todo = iter(sources.items())
        self.query = query
        self.answers = {}
        self.missing = {name: TimeoutError("its turn never came") for name in sources}

    async def work(self):
        for name, ask in self.todo:
            self.missing[name] = TimeoutError("it was late")
            try:
                self.answers[name] = await ask(self.query)
                del self.missing[name]
            except Exception as error:
                self.missing[name] = error


async def collect(sources, query, seconds, limit):
    end = time.monotonic() + seconds
    collector = Collector(sources, query)
    try:
        async with asyncio.timeout(end - time.monotonic()), asyncio.TaskGroup() as group:
            for _ in range(limit):
                group.create_task(collector.work())
    except TimeoutError:
        pass
    return collector.answers, collector.missing

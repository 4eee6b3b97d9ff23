import asyncio
from collections import Counter


def host_of(url):
    return url.split("/")[2]


class Crawler:
    def __init__(self, fetch, workers, per_host):
        self.fetch, self.workers, self.per_host = fetch, workers, per_host
        self.waiting, self.running, self.busy, self.result = [], {}, Counter(), {}

    def add(self, urls):
        for url in urls:
            if url not in self.result:
                self.result[url] = None
                self.waiting.append(url)

    def start_what_may(self):
        for url in list(self.waiting):
            if len(self.running) >= self.workers:
                return
            if self.busy[host_of(url)] < self.per_host:
                self.waiting.remove(url)
                self.busy[host_of(url)] += 1
                self.running[asyncio.ensure_future(self.fetch(url))] = url

    async def run(self, start):
        self.add([start])
        self.start_what_may()
        while self.running:
            done, _ = await asyncio.wait(self.running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                url = self.running.pop(task)
                self.busy[host_of(url)] -= 1
                self.result[url] = task.exception() or task.result()
                if not task.exception():
                    self.add(task.result())
            self.start_what_may()
        return self.result


async def crawl(fetch, start, workers, per_host):
    return await Crawler(fetch, workers, per_host).run(start)

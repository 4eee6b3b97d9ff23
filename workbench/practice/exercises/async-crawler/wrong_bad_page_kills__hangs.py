import asyncio
from collections import defaultdict
from urllib.parse import urlsplit


async def crawl(fetch, start, workers, per_host):
    found, seen, queue = {}, {start}, asyncio.Queue()
    hosts = defaultdict(lambda: asyncio.Semaphore(per_host))
    queue.put_nowait(start)

    async def work():
        while True:
            url = await queue.get()
            async with hosts[urlsplit(url).netloc]:
                found[url] = await fetch(url)
            for link in found[url]:
                if link not in seen:
                    seen.add(link)
                    queue.put_nowait(link)
            queue.task_done()

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    try:
        await queue.join()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found

import asyncio
from collections import defaultdict
from urllib.parse import urlsplit


async def crawl(fetch, start, workers, per_host):
    found, seen, queue = {}, {start}, asyncio.Queue()
    hosts = defaultdict(lambda: asyncio.Semaphore(per_host))
    queue.put_nowait(start)

    async def work():
        while not queue.empty():
            url = queue.get_nowait()
            try:
                async with hosts[urlsplit(url).netloc]:
                    found[url] = await fetch(url)
                for link in found[url]:
                    if link not in seen:
                        seen.add(link)
                        queue.put_nowait(link)
            except Exception as error:
                found[url] = error

    await asyncio.gather(*(work() for _ in range(workers)))
    return found

import asyncio
from collections import defaultdict


async def crawl(fetch, start, workers, per_host):
    places = asyncio.Semaphore(workers)
    hosts = defaultdict(lambda: asyncio.Semaphore(per_host))
    found = {start: None}

    async def visit(url):
        async with places, hosts[url.split("/")[2]]:
            try:
                links = found[url] = await fetch(url)
            except Exception as error:
                found[url] = error
                return
        new = [link for link in dict.fromkeys(links) if link not in found]
        found.update(dict.fromkeys(new))
        await asyncio.gather(*map(visit, new))

    await visit(start)
    return found

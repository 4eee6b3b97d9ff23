import asyncio
from collections import defaultdict
from urllib.parse import urlsplit


async def crawl(fetch, start, workers, per_host):
    places = asyncio.Semaphore(workers)
    hosts = defaultdict(lambda: asyncio.Semaphore(per_host))
    seen, found = set(), {}

    async def visit(url):
        if url in seen:
            return
        async with hosts[urlsplit(url).netloc], places:
            seen.add(url)
            try:
                found[url] = await fetch(url)
            except Exception as error:
                found[url] = error
                return
        await asyncio.gather(*map(visit, found[url]))

    await visit(start)
    return found

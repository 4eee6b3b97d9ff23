import asyncio
from urllib.parse import urlsplit


async def crawl(fetch, start, workers, per_host):
    pages, hosts = {}, {}
    slots = asyncio.Semaphore(workers)

    async def visit(url, group):
        host = hosts.setdefault(urlsplit(url).netloc, asyncio.Semaphore(per_host))
        async with host, slots:
            try:
                links = pages[url] = await fetch(url)
            except Exception as error:
                pages[url] = error
                return
        for link in links:
            if link not in pages:
                pages[link] = None
                group.create_task(visit(link, group))

    pages[start] = None
    async with asyncio.TaskGroup() as group:
        group.create_task(visit(start, group))
    return pages

import asyncio


async def crawl(fetch, start, workers, per_host):
    found, seen, queue = {}, {start}, asyncio.Queue()
    queue.put_nowait(start)

    async def work():
        while True:
            url = await queue.get()
            try:
                found[url] = await fetch(url)
                for link in found[url]:
                    if link not in seen:
                        seen.add(link)
                        queue.put_nowait(link)
            except Exception as error:
                found[url] = error
            finally:
                queue.task_done()

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    try:
        await queue.join()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found

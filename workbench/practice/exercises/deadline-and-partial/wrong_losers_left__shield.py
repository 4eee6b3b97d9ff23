import asyncio
import time


async def collect(sources, query, seconds, limit):
    end = time.monotonic() + seconds
    places = asyncio.Semaphore(limit)
    answers, missing = {}, {}

    async def source(name):
        async with places:
            return await sources[name](query)

    async def ask(name):
        task = asyncio.create_task(source(name))
        try:
            answers[name] = await asyncio.wait_for(asyncio.shield(task), end - time.monotonic())
        except Exception as error:
            missing[name] = error

    await asyncio.gather(*map(ask, sources))
    return answers, missing

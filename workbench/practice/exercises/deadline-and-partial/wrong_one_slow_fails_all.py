import asyncio


async def collect(sources, query, seconds, limit):
    places = asyncio.Semaphore(limit)
    deadline = asyncio.get_running_loop().time() + seconds

    async def ask(name):
        async with asyncio.timeout_at(deadline), places:
            return await sources[name](query)

    answers = await asyncio.gather(*map(ask, sources))
    return dict(zip(sources, answers, strict=True)), {}

import asyncio


async def collect(sources, query, seconds, limit):
    places = asyncio.Semaphore(limit)
    answers, missing = {}, {}

    async def ask(name):
        async with places:
            try:
                answers[name] = await sources[name](query)
            except Exception as error:
                missing[name] = error

    async with asyncio.timeout(seconds):
        await asyncio.gather(*map(ask, sources))
    return answers, missing

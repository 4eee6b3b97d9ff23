import asyncio


async def collect(sources, query, seconds, limit):
    places = asyncio.Semaphore(limit)
    answers, missing = {}, {}

    async def ask(name):
        async with places:
            try:
                answers[name] = await asyncio.wait_for(sources[name](query), timeout=seconds)
            except Exception as error:
                missing[name] = error

    await asyncio.gather(*map(ask, sources))
    return answers, missing

import asyncio


async def score_all(fetch, score, ids, limit):
    """Return the score of each document, in the order of ids."""
    places = asyncio.Semaphore(limit)

    async def in_thread(function, argument):
        async with places:
            return await asyncio.to_thread(function, argument)

    async def score_one(number):
        while (text := await in_thread(fetch, number)) is None:
            await asyncio.sleep(0.5)
        return await in_thread(score, text)

    return await asyncio.gather(*map(score_one, ids))

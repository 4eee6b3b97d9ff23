import asyncio


async def score_all(fetch, score, ids, limit):
    places = asyncio.Semaphore(limit)

    async def score_one(number):
        async with places:
            while (text := await asyncio.to_thread(fetch, number)) is None:
                await asyncio.sleep(0.5)
            return score(text)

    return await asyncio.gather(*map(score_one, ids))

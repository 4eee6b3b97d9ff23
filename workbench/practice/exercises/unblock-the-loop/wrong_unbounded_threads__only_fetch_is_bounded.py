import asyncio


async def score_all(fetch, score, ids, limit):
    places = asyncio.Semaphore(limit)

    async def fetch_one(number):
        async with places:
            while (text := await asyncio.to_thread(fetch, number)) is None:
                await asyncio.sleep(0.5)
            return text

    texts = await asyncio.gather(*map(fetch_one, ids))
    return await asyncio.gather(*(asyncio.to_thread(score, text) for text in texts))

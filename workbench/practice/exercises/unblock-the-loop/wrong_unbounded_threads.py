import asyncio


async def score_all(fetch, score, ids, limit):
    async def score_one(number):
        while (text := await asyncio.to_thread(fetch, number)) is None:
            await asyncio.sleep(0.5)
        return await asyncio.to_thread(score, text)

    return await asyncio.gather(*map(score_one, ids))

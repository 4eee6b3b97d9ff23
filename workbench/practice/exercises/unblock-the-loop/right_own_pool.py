import asyncio
from concurrent.futures import ThreadPoolExecutor


async def score_all(fetch, score, ids, limit):
    loop = asyncio.get_running_loop()

    async def score_one(pool, number):
        while True:
            text = await loop.run_in_executor(pool, fetch, number)
            if text is not None:
                return await loop.run_in_executor(pool, score, text)
            await asyncio.sleep(0.5)

    with ThreadPoolExecutor(max_workers=limit) as pool:
        return await asyncio.gather(*(score_one(pool, number) for number in ids))

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor


async def score_all(fetch, score, ids, limit):
    def score_one(number):
        while (text := fetch(number)) is None:
            time.sleep(0.5)
        return score(text)

    with ThreadPoolExecutor(limit) as pool:
        futures = [pool.submit(score_one, number) for number in ids]
        return [await asyncio.wrap_future(future) for future in futures]

import anyio
from anyio import to_thread


async def score_all(fetch, score, ids, limit):
    limiter = anyio.CapacityLimiter(limit)
    scores = {}

    async def score_one(place, number):
        while (text := await to_thread.run_sync(fetch, number, limiter=limiter)) is None:
            await anyio.sleep(0.5)
        scores[place] = await to_thread.run_sync(score, text, limiter=limiter)

    async with anyio.create_task_group() as group:
        for place, number in enumerate(ids):
            group.start_soon(score_one, place, number)
    return [scores[place] for place in range(len(scores))]

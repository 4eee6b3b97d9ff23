import asyncio
import time


def score_one(fetch, score, number):
    """The whole of one document, in a thread: there a pause disturbs nobody."""
    while (text := fetch(number)) is None:
        time.sleep(0.5)
    return score(text)


async def score_all(fetch, score, ids, limit):
    todo = list(enumerate(ids))[::-1]
    scores = [None] * len(todo)

    async def work():
        while todo:
            place, number = todo.pop()
            scores[place] = await asyncio.to_thread(score_one, fetch, score, number)

    async with asyncio.TaskGroup() as group:
        for _ in range(limit):
            group.create_task(work())
    return scores

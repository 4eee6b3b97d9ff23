import asyncio


async def collect(sources, query, seconds, limit):
    """Return (answers, missing): by name, what was answered in time, and why the others were not."""
    deadline = asyncio.get_running_loop().time() + seconds
    places = asyncio.Semaphore(limit)
    answers, missing = {}, {}

    async def ask(name):
        try:
            async with asyncio.timeout_at(deadline), places:
                answers[name] = await sources[name](query)
        except Exception as error:
            missing[name] = error

    await asyncio.gather(*map(ask, sources))
    return answers, missing

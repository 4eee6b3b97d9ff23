import asyncio


async def collect(sources, query, seconds, limit):
    places = asyncio.Semaphore(limit)

    async def ask(name):
        async with places:
            try:
                return name, await sources[name](query), None
            except Exception as error:
                return name, None, error

    answers, missing = {}, {}
    for next_one in asyncio.as_completed([ask(name) for name in sources], timeout=seconds):
        name, answer, error = await next_one
        if error is None:
            answers[name] = answer
        else:
            missing[name] = error
    return answers, missing

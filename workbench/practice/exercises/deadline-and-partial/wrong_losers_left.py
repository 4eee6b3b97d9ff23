import asyncio


async def collect(sources, query, seconds, limit):
    places = asyncio.Semaphore(limit)

    async def ask(source):
        async with places:
            return await source(query)

    tasks = {name: asyncio.create_task(ask(source)) for name, source in sources.items()}
    if tasks:
        await asyncio.wait(tasks.values(), timeout=seconds)
    answers, missing = {}, {}
    for name, task in tasks.items():
        if not task.done():
            missing[name] = TimeoutError()
        elif error := task.exception():
            missing[name] = error
        else:
            answers[name] = task.result()
    return answers, missing

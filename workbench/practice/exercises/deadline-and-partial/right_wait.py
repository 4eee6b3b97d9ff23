import asyncio


async def collect(sources, query, seconds, limit):
    places = asyncio.Semaphore(limit)

    async def ask(source):
        async with places:
            return await source(query)

    if not sources:
        return {}, {}
    tasks = {name: asyncio.create_task(ask(source)) for name, source in sources.items()}
    try:
        await asyncio.wait(tasks.values(), timeout=seconds)
    finally:
        late = [task for task in tasks.values() if not task.done()]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    answers, missing = {}, {}
    for name, task in tasks.items():
        if task in late:
            missing[name] = TimeoutError(f"{name} was late")
        elif task.exception():
            missing[name] = task.exception()
        else:
            answers[name] = task.result()
    return answers, missing

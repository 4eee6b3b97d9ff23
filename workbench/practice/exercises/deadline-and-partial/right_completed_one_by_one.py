import asyncio


async def collect(sources, query, seconds, limit):
    places = asyncio.Semaphore(limit)

    async def named(name):
        async with places:
            try:
                return name, await sources[name](query), None
            except Exception as error:
                return name, None, error

    answers, missing = {}, dict.fromkeys(sources)
    tasks = [asyncio.ensure_future(named(name)) for name in sources]
    try:
        for done in asyncio.as_completed(tasks, timeout=seconds):
            name, answer, missing[name] = await done
            if missing[name] is None:
                answers[name] = answer
                del missing[name]
    except TimeoutError as error:
        missing = {name: each or error for name, each in missing.items()}
    finally:
        for task in tasks:
            task.cancel()
    return answers, missing

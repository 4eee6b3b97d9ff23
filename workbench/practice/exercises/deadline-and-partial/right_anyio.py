import anyio


async def collect(sources, query, seconds, limit):
    answers = {}
    missing = {name: TimeoutError() for name in sources}
    places = anyio.Semaphore(limit)

    async def ask(name):
        async with places:
            try:
                answers[name] = await sources[name](query)
                missing.pop(name)
            except Exception as error:
                missing[name] = error

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            for name in sources:
                group.start_soon(ask, name)
    return answers, missing

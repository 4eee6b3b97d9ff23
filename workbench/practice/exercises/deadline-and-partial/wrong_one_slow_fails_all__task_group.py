import asyncio


async def collect(sources, query, seconds, limit):
    places = asyncio.Semaphore(limit)

    async def ask(name):
        async with places:
            return await asyncio.wait_for(sources[name](query), seconds)

    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(ask(name)) for name in sources}
    return {name: task.result() for name, task in tasks.items()}, {}

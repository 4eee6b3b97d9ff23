import asyncio


async def hedged(first, second, prompt, delay):
    async def later():
        await asyncio.sleep(delay)
        return await second(prompt)

    tasks = [asyncio.create_task(first(prompt)), asyncio.create_task(later())]
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is None:
                    return task.result()
        return tasks[1].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

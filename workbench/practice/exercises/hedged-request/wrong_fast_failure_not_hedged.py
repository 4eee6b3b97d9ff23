import asyncio


async def hedged(first, second, prompt, delay):
    primary = asyncio.create_task(first(prompt))
    tasks = [primary]
    try:
        done, _ = await asyncio.wait(tasks, timeout=delay)
        if done:
            return primary.result()
        tasks.append(asyncio.create_task(second(prompt)))
        pending = set(tasks)
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

import asyncio


async def hedged(first, second, prompt, delay):
    """Return the first answer of two replicas; the second is asked when the first is slow, or has failed."""
    tasks = {asyncio.create_task(first(prompt))}
    try:
        done, pending = await asyncio.wait(tasks, timeout=delay)
        if any(task.exception() is None for task in done):
            return done.pop().result()
        backup = asyncio.create_task(second(prompt))
        tasks.add(backup)
        pending.add(backup)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is None:
                    return task.result()
        return backup.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

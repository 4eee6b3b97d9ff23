import asyncio


async def hedged(first, second, prompt, delay):
    tasks = {asyncio.create_task(first(prompt))}
    try:
        done, _ = await asyncio.wait(tasks, timeout=delay)
        if done and done.pop().exception() is None:
            return tasks.pop().result()
        tasks = {task for task in tasks if not task.done()}
        tasks.add(asyncio.create_task(second(prompt)))
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

import asyncio


async def hedged(first, second, prompt, delay):
    primary = asyncio.create_task(first(prompt))
    done, pending = await asyncio.wait({primary}, timeout=delay)
    if primary.done() and primary.exception() is None:
        return primary.result()
    backup = asyncio.create_task(second(prompt))
    pending.add(backup)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None:
                return task.result()
    return backup.result()

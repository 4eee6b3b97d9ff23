import asyncio


async def hedged(first, second, prompt, delay):
    primary = asyncio.create_task(first(prompt))
    backup = None
    try:
        return await asyncio.wait_for(asyncio.shield(primary), delay)
    except Exception:
        backup = asyncio.create_task(second(prompt))
    try:
        return await backup
    except Exception:
        if primary.done() and primary.exception():
            raise
        return await primary

import asyncio


async def hedged(first, second, prompt, delay):
    one = asyncio.create_task(first(prompt))
    done, pending = await asyncio.wait({one}, timeout=delay)
    if done and not one.exception():
        return one.result()
    other = asyncio.create_task(second(prompt))
    pending.add(other)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.exception():
                for loser in pending:
                    loser.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
                return task.result()
    return other.result()

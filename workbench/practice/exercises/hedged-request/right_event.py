import asyncio
import contextlib


async def hedged(first, second, prompt, delay):
    failed = asyncio.Event()
    answer = asyncio.get_running_loop().create_future()
    errors = []

    async def ask(replica):
        try:
            found = await replica(prompt)
        except Exception as error:
            errors.append(error)
            failed.set()
            if len(errors) == 2 and not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(found)

    async def backup():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(failed.wait(), delay)
        await ask(second)

    tasks = [asyncio.create_task(ask(first)), asyncio.create_task(backup())]
    try:
        return await answer
    finally:
        for task in tasks:
            task.cancel()

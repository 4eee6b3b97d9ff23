import asyncio


async def hedged(first, second, prompt, delay):
    results = asyncio.Queue()

    async def ask(replica):
        try:
            await results.put((await replica(prompt), None))
        except Exception as error:
            await results.put((None, error))

    tasks = [asyncio.create_task(ask(first))]
    try:
        waiting = 1
        try:
            answer, error = await asyncio.wait_for(results.get(), delay)
            waiting = 0
            if error is None:
                return answer
        except TimeoutError:
            pass
        tasks.append(asyncio.create_task(ask(second)))
        for _ in range(waiting + 1):
            answer, error = await results.get()
            if error is None:
                return answer
        raise error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

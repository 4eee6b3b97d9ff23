import asyncio


class Won(Exception):
    pass


async def hedged(first, second, prompt, delay):
    answers, errors = [], []
    early = asyncio.Event()

    async def ask(replica):
        answers.append(await replica(prompt))
        raise Won

    async def ask_first():
        try:
            await ask(first)
        except Won:
            raise
        except Exception as error:
            if asyncio.get_running_loop().time() >= hedge_at:
                raise
            errors.append(error)
            early.set()

    hedge_at = asyncio.get_running_loop().time() + delay
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(ask_first())
            try:
                await asyncio.wait_for(early.wait(), delay)
            except TimeoutError:
                pass
            group.create_task(ask(second))
    except* Won:
        pass
    return answers[0]

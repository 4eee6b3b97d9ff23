import asyncio


async def research(connect, questions):
    connection = await connect()
    tasks = [asyncio.create_task(connection.ask(question)) for question in questions]
    try:
        answers = list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await connection.close()
        raise
    await connection.close()
    return answers

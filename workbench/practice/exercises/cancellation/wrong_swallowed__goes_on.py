import asyncio


async def research(connect, questions):
    connection = await connect()
    tasks = [asyncio.create_task(connection.ask(question)) for question in questions]
    answers = []
    try:
        for task in tasks:
            try:
                answers.append(await task)
            except asyncio.CancelledError:
                answers.append(None)
        return answers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await connection.close()

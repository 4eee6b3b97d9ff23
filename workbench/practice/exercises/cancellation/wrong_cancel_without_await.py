import asyncio


async def research(connect, questions):
    connection = await connect()
    tasks = [asyncio.create_task(connection.ask(question)) for question in questions]
    try:
        if tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await connection.close()

import asyncio


async def research(connect, questions):
    connection = await connect()
    tasks = [asyncio.create_task(connection.ask(question)) for question in questions]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await connection.close()

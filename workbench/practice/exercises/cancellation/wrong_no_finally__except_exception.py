import asyncio


async def research(connect, questions):
    connection = await connect()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(connection.ask(question)) for question in questions]
    except Exception:
        await connection.close()
        raise
    await connection.close()
    return [task.result() for task in tasks]

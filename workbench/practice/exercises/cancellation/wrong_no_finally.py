import asyncio


async def research(connect, questions):
    connection = await connect()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(connection.ask(question)) for question in questions]
    await connection.close()
    return [task.result() for task in tasks]

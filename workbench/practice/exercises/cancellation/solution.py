import asyncio


async def research(connect, questions):
    """Ask all questions at once over one connection; return the answers in their order."""
    connection = await connect()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(connection.ask(question)) for question in questions]
        return [task.result() for task in tasks]
    finally:
        await connection.close()

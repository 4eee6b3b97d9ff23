import asyncio


async def research(connect, questions):
    connection = await connect()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(connection.ask(question)) for question in questions]
        return [task.result() for task in tasks]
    except BaseException as error:
        raise RuntimeError("research failed") from error
    finally:
        await connection.close()

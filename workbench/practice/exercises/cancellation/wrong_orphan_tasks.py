import asyncio


async def research(connect, questions):
    connection = await connect()
    try:
        tasks = [asyncio.create_task(connection.ask(question)) for question in questions]
        return [await task for task in tasks]
    finally:
        await connection.close()

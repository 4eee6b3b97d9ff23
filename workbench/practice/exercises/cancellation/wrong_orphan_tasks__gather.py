import asyncio


async def research(connect, questions):
    connection = await connect()
    try:
        return await asyncio.gather(*map(connection.ask, questions))
    finally:
        await connection.close()

import asyncio


async def research(connect, questions):
    connection = await connect()
    try:
        asking = asyncio.gather(*map(connection.ask, questions), return_exceptions=True)
        answers = await asyncio.shield(asking)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers
    finally:
        await connection.close()

import asyncio


async def relay(stream, send):
    text, failed, last = "", None, asyncio.create_task(asyncio.sleep(0))

    async def after(previous, piece):
        await previous
        await send(piece)

    try:
        try:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    text += chunk.choices[0].delta.content
                    last = asyncio.create_task(after(last, chunk.choices[0].delta.content))
        except Exception as error:
            failed = error
        await last
    finally:
        await stream.close()
    return text, failed

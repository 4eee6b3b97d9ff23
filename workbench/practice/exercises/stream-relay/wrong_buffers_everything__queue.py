import asyncio


async def relay(stream, send):
    queue, failed, text = asyncio.Queue(), None, ""

    async def read():
        nonlocal failed
        try:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    queue.put_nowait(chunk.choices[0].delta.content)
        except Exception as error:
            failed = error
        queue.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (piece := await queue.get()) is not None:
            text += piece
            await send(piece)
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await stream.close()
    return text, failed

import asyncio


async def relay(stream, send):
    queue, failed, text = asyncio.Queue(3), [], ""

    async def read():
        try:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    await queue.put(chunk.choices[0].delta.content)
        except Exception as error:
            failed.append(error)
        await queue.put(None)

    reader = asyncio.create_task(read())
    while (piece := await queue.get()) is not None:
        await send(piece)
        text += piece
    await reader
    return text, failed[0] if failed else None

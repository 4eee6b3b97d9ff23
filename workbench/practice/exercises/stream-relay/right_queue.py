import asyncio


async def relay(stream, send):
    """One task reads, one sends; the queue between them is short."""
    queue, end, failed, sent = asyncio.Queue(maxsize=2), object(), [None], []

    async def read():
        try:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    await queue.put(chunk.choices[0].delta.content)
        except Exception as error:
            failed[0] = error
        await queue.put(end)

    reader = asyncio.create_task(read())
    try:
        while (text := await queue.get()) is not end:
            await send(text)
            sent.append(text)
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await stream.close()
    return "".join(sent), failed[0]

import anyio


async def relay(stream, send):
    texts, problem = [], None
    to, out = anyio.create_memory_object_stream(1)

    async def forward():
        async with out:
            async for text in out:
                await send(text)

    try:
        async with stream, anyio.create_task_group() as group:
            group.start_soon(forward)
            async with to:
                iterator = stream.__aiter__()
                while True:
                    try:
                        chunk = await iterator.__anext__()
                    except StopAsyncIteration:
                        break
                    except Exception as error:
                        problem = error
                        break
                    for choice in chunk.choices:
                        if choice.delta.content:
                            texts.append(choice.delta.content)
                            await to.send(choice.delta.content)
    except* ConnectionError as gone:
        raise gone.exceptions[0] from None
    return "".join(texts), problem

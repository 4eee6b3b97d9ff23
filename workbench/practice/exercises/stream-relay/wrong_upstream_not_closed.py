async def relay(stream, send):
    text, chunks = "", aiter(stream)
    while True:
        try:
            chunk = await anext(chunks, None)
        except Exception as error:
            return text, error
        if chunk is None:
            return text, None
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
            await send(chunk.choices[0].delta.content)

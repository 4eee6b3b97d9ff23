async def relay(stream, send):
    text, chunks = "", aiter(stream)
    while True:
        try:
            chunk = await anext(chunks, None)
        except Exception as error:
            return text, error
        if chunk is None:
            return text, None
        piece = chunk.choices[0].delta.content if chunk.choices else ""
        if piece:
            text += piece
            try:
                await send(piece)
            except ConnectionError:
                await stream.close()
                raise

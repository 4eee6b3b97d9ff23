async def relay(stream, send):
    pieces, failed = [], None
    async with stream:
        try:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    pieces.append(chunk.choices[0].delta.content)
        except Exception as error:
            failed = error
        for piece in pieces:
            await send(piece)
    return "".join(pieces), failed

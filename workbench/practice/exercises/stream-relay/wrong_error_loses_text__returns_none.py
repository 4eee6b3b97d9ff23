async def pieces(stream):
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


async def relay(stream, send):
    async with stream:
        try:
            sent = []
            async for piece in pieces(stream):
                await send(piece)
                sent.append(piece)
            return "".join(sent), None
        except ConnectionError:
            raise
        except Exception as error:
            return "", error

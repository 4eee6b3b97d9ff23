async def relay(stream, send):
    text = ""
    try:
        async for chunk in stream:
            piece = chunk.choices[0].delta.content
            if piece:
                text += piece
                await send(piece)
    except ConnectionResetError:
        raise
    except Exception as error:
        return text, error
    finally:
        await stream.close()
    return text, None

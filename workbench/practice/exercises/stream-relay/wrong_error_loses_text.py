async def relay(stream, send):
    text = ""
    try:
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                text += chunk.choices[0].delta.content
                await send(chunk.choices[0].delta.content)
    finally:
        await stream.close()
    return text, None

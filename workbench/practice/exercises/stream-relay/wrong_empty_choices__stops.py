from contextlib import aclosing


async def relay(stream, send):
    """Send each piece of text on as it comes; return (text, error)."""
    sent = []

    async with aclosing(stream):
        chunks = aiter(stream)
        while True:
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return "".join(sent), None
            except Exception as error:  # of the stream: those of send() are the client's, and go out
                return "".join(sent), error
            if not chunk.choices:
                return "".join(sent), None
            text = chunk.choices[0].delta.content
            if text:
                sent.append(text)
                await send(text)

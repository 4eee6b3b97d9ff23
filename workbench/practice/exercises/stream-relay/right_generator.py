class Relay:
    """The stream's error is caught where the stream is read, and kept."""

    def __init__(self, stream):
        self.stream, self.text, self.error = stream, "", None

    async def pieces(self):
        try:
            async for chunk in self.stream:
                for choice in chunk.choices[:1]:
                    if choice.delta.content:
                        self.text += choice.delta.content
                        yield choice.delta.content
        except Exception as error:
            self.error = error


async def relay(stream, send):
    relayed = Relay(stream)
    try:
        async for piece in relayed.pieces():
            await send(piece)
    finally:
        await stream.close()
    return relayed.text, relayed.error

class MicroBatcher:
    def __init__(self, embed_batch, max_size, max_wait):
        """`await embed_batch(texts)` gives a list of vectors, one for each text, or raises."""
        self.embed_batch, self.max_size, self.max_wait = embed_batch, max_size, max_wait

    async def embed(self, text):
        """The vector of one text."""
        [vector] = await self.embed_batch([text])
        return vector

    async def close(self):
        """Return when everybody who has asked has an answer."""

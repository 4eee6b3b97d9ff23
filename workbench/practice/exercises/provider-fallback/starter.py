class Fallback:
    def __init__(self, providers, now, *, patience=2.0, cooldown=30.0):
        self.providers, self.now = providers, now

    async def stream(self, prompt):
        """Give the pieces of the answer, as they come."""
        for provider in self.providers:
            async for piece in await provider(prompt):
                yield piece

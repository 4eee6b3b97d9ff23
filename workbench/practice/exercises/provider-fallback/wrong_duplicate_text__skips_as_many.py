import asyncio


class Fallback:
    """The other provider's answer is given from where the first one's broke off, though it is another text."""

    def __init__(self, providers, now, *, patience=2.0, cooldown=30.0):
        self.providers, self.now = providers, now
        self.patience, self.cooldown = patience, cooldown
        self.failed = {}

    async def stream(self, prompt):
        given = 0
        well = [each for each in self.providers if self.now() - self.failed.get(each, -1e9) >= self.cooldown]
        candidates = well or self.providers
        for provider in candidates:
            try:
                async with asyncio.timeout(self.patience) as patience:
                    place = 0
                    async for piece in await provider(prompt):
                        patience.reschedule(None)
                        place += 1
                        if place > given:
                            given += 1
                            yield piece
                return
            except Exception as error:
                status = getattr(error, "status", 500)
                if 400 <= status < 500 and status not in (408, 429):
                    raise
                self.failed[provider] = self.now()
                if provider is candidates[-1]:
                    raise

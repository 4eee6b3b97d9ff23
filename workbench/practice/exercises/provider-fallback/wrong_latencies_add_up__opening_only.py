import asyncio


class Fallback:
    def __init__(self, providers, now, *, patience=2.0, cooldown=30.0):
        self.providers, self.now = providers, now
        self.patience, self.cooldown = patience, cooldown
        self.until = [0.0] * len(providers)

    async def stream(self, prompt):
        places = [place for place, until in enumerate(self.until) if self.now() >= until]
        places = places or list(range(len(self.providers)))
        for place in places:
            given = False
            try:
                pieces = await asyncio.wait_for(self.providers[place](prompt), self.patience)
                async for piece in pieces:
                    given = True
                    yield piece
                return
            except Exception as error:
                status = getattr(error, "status", 500)
                if 400 <= status < 500 and status not in (408, 429):
                    raise
                self.until[place] = self.now() + self.cooldown
                if given or place == places[-1]:
                    raise

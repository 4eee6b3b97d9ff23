import asyncio


def is_the_requests_fault(error):
    status = getattr(error, "status", None) or 0
    return 400 <= status <= 499 and status not in (408, 429)


class Fallback:
    def __init__(self, providers, now, *, patience=2.0, cooldown=30.0):
        self.providers, self.now = providers, now
        self.patience, self.cooldown = patience, cooldown
        self.failed = {}  # place of a provider: when it failed

    def candidates(self):
        places = range(len(self.providers))
        never = float("-inf")
        well = [each for each in places if self.now() - self.failed.get(each, never) >= self.cooldown]
        return well or list(places)

    async def stream(self, prompt):
        """Give the pieces of the answer, as they come."""
        candidates = self.candidates()
        for place in candidates:
            given = False
            try:
                async with asyncio.timeout(self.patience) as patience:
                    pieces = aiter(await self.providers[place](prompt))
                    piece = await anext(pieces, None)
                    patience.reschedule(None)
                while piece is not None:
                    given = True
                    yield piece
                    piece = await anext(pieces, None)
                return
            except Exception as error:
                if is_the_requests_fault(error):
                    raise
                self.failed[place] = self.now()
                if place == candidates[-1]:
                    raise

import asyncio


class Fallback:
    def __init__(self, providers, now, *, patience=2.0, cooldown=30.0):
        self.providers, self.patience = providers, patience
        self.current = 0

    async def stream(self, prompt):
        for _ in self.providers:
            place, given = self.current, False
            try:
                pieces = aiter(await asyncio.wait_for(self.providers[place](prompt), self.patience))
                piece = await asyncio.wait_for(anext(pieces, None), self.patience)
                while piece is not None:
                    given = True
                    yield piece
                    piece = await anext(pieces, None)
                return
            except Exception as error:
                status = getattr(error, "status", 500)
                if 400 <= status < 500 and status not in (408, 429):
                    raise
                self.current = (place + 1) % len(self.providers)
                if given:
                    raise
                last = error
        raise last

import asyncio


class Fallback:
    """A task reads the provider into a queue of one, so that whoever waits for a piece can give up on it."""

    def __init__(self, providers, now, *, patience=2.0, cooldown=30.0):
        self.providers, self.now = providers, now
        self.patience, self.cooldown = patience, cooldown
        self.failed_at = {}

    def well(self, provider):
        failed = self.failed_at.get(provider)
        return failed is None or self.now() - failed >= self.cooldown

    async def stream(self, prompt):
        error = None
        for provider in list(filter(self.well, self.providers)) or self.providers:
            pieces = asyncio.Queue(1)
            reader = asyncio.create_task(self.read(provider, prompt, pieces))
            begun = False
            try:
                piece, error = await asyncio.wait_for(pieces.get(), self.patience)
                while piece is not None:
                    begun = True
                    yield piece
                    piece, error = await pieces.get()
            except TimeoutError as late:
                error = late
            finally:
                reader.cancel()
                await asyncio.wait([reader])
            if error is None:
                return
            status = getattr(error, "status", None)
            if status and status // 100 == 4 and status not in (408, 429):
                raise error
            self.failed_at[provider] = self.now()
            if begun:
                raise error
        raise error

    async def read(self, provider, prompt, pieces):
        try:
            async for piece in await provider(prompt):
                await pieces.put((piece, None))
        except Exception as error:
            await pieces.put((None, error))
        else:
            await pieces.put((None, None))

import asyncio
from contextlib import aclosing


class Guarded:
    """A provider, and what is known of its health."""

    def __init__(self, ask, now, cooldown):
        self.ask, self.now, self.cooldown = ask, now, cooldown
        self.until = float("-inf")

    @property
    def well(self):
        return self.now() >= self.until

    def blame(self, error):
        """Note a failure; tell whether another provider may help."""
        status = getattr(error, "status", 500)
        if status in (408, 429) or not 400 <= status < 500:
            self.until = self.now() + self.cooldown
            return True
        return False

    async def first(self, prompt):
        stream = (await self.ask(prompt)).__aiter__()
        try:
            return stream, [await stream.__anext__()]
        except StopAsyncIteration:
            return stream, []


class Fallback:
    def __init__(self, providers, now, *, patience=2.0, cooldown=30.0):
        self.providers = [Guarded(provider, now, cooldown) for provider in providers]
        self.patience = patience

    def stream(self, prompt):
        return self._pieces([each for each in self.providers if each.well] or self.providers, prompt)

    async def _pieces(self, candidates, prompt):
        last = None
        for provider in candidates:
            try:
                stream, first = await asyncio.wait_for(provider.first(prompt), self.patience)
            except Exception as error:
                if not provider.blame(error):
                    raise
                last = error
                continue
            for piece in first:
                yield piece
            async with aclosing(stream):
                try:
                    async for piece in stream:
                        yield piece
                except Exception as error:
                    provider.blame(error)
                    raise
            return
        raise last

import asyncio


class Fallback:
    """A task pumps each provider's stream into a queue; the reader waits for the first item, not for long."""

    def __init__(self, providers, now, *, patience=2.0, cooldown=30.0):
        self.now, self.patience, self.cooldown = now, patience, cooldown
        self.health = [[provider, None] for provider in providers]

    async def pump(self, provider, prompt, queue):
        try:
            async for piece in await provider(prompt):
                await queue.put((piece, None))
            await queue.put((None, None))
        except Exception as error:
            await queue.put((None, error))

    def stream(self, prompt):
        well = [each for each in self.health if each[1] is None or self.now() - each[1] >= self.cooldown]
        return self.attempt(well or self.health, prompt)

    async def attempt(self, entries, prompt):
        entry, *rest = entries
        queue, given = asyncio.Queue(1), 0
        task = asyncio.create_task(self.pump(entry[0], prompt, queue))
        try:
            while True:
                timeout = None if given else self.patience
                try:
                    piece, error = await asyncio.wait_for(queue.get(), timeout)
                except TimeoutError as late:
                    piece, error = None, late
                if error is not None:
                    status = getattr(error, "status", None)
                    if status is not None and status // 100 == 4 and status not in {408, 429}:
                        raise error
                    entry[1] = self.now()
                    if given or not rest:
                        raise error
                    break
                if piece is None:
                    return
                given += 1
                yield piece
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async for piece in self.attempt(rest, prompt):
            yield piece

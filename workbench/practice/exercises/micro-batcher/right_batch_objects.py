import asyncio
import contextlib


class Batch:
    """Texts that are sent together: a task that everybody in it awaits behind a shield."""

    def __init__(self, owner):
        self.texts, self.full = [], asyncio.Event()
        self.task = asyncio.ensure_future(self.run(owner))

    async def run(self, owner):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.full.wait(), owner.max_wait)
        if owner.open is self:
            owner.open = None
        return await self.ask(owner.embed_batch, self.texts)

    async def ask(self, embed_batch, texts):
        try:
            return list(await embed_batch(texts))
        except Exception as error:
            if len(texts) == 1:
                return [error]
            return [(await self.ask(embed_batch, [text]))[0] for text in texts]


class MicroBatcher:
    def __init__(self, embed_batch, max_size, max_wait):
        self.embed_batch, self.max_size, self.max_wait = embed_batch, max_size, max_wait
        self.open, self.batches = None, set()

    async def embed(self, text):
        if self.open is None:
            self.open = Batch(self)
            self.batches.add(self.open)
            self.open.task.add_done_callback(lambda task, batch=self.open: self.batches.discard(batch))
        batch, place = self.open, len(self.open.texts)
        batch.texts.append(text)
        if len(batch.texts) >= self.max_size:
            self.open = None
            batch.full.set()
        result = (await asyncio.shield(batch.task))[place]
        if isinstance(result, Exception):
            raise result
        return result

    async def close(self):
        if self.open:
            self.open.full.set()
        await asyncio.gather(*[batch.task for batch in self.batches], return_exceptions=True)

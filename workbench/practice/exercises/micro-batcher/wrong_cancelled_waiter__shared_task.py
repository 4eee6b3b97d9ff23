import asyncio


class MicroBatcher:
    def __init__(self, embed_batch, max_size, max_wait):
        self.embed_batch, self.max_size, self.max_wait = embed_batch, max_size, max_wait
        self.texts, self.task, self.tasks = [], None, set()
        self.full = None

    async def embed(self, text):
        if self.task is None:
            self.texts, self.full = [], asyncio.Event()
            self.task = asyncio.create_task(self.run(self.texts, self.full))
            self.tasks.add(self.task)
            self.task.add_done_callback(self.tasks.discard)
        task, place = self.task, len(self.texts)
        self.texts.append(text)
        if len(self.texts) == self.max_size:
            self.full.set()
            self.task = None
        result = (await task)[place]
        if isinstance(result, Exception):
            raise result
        return result

    async def run(self, texts, full):
        try:
            await asyncio.wait_for(full.wait(), self.max_wait)
        except TimeoutError:
            pass
        if self.texts is texts:
            self.task = None
        return await self.ask(texts)

    async def ask(self, texts):
        try:
            return await self.embed_batch(texts)
        except Exception as error:
            if len(texts) == 1:
                return [error]
            return [(await self.ask([text]))[0] for text in texts]

    async def close(self):
        if self.full:
            self.full.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)

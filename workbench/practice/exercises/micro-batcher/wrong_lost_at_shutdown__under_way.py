import asyncio


class MicroBatcher:
    def __init__(self, embed_batch, max_size, max_wait):
        self.embed_batch, self.max_size, self.max_wait = embed_batch, max_size, max_wait
        self.waiting, self.timer, self.tasks = [], None, set()

    async def embed(self, text):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.waiting.append((text, future))
        if len(self.waiting) == 1:
            self.timer = loop.call_later(self.max_wait, self.send)
        if len(self.waiting) == self.max_size:
            self.send()
        return await future

    async def close(self):
        self.send()

    def send(self):
        if not self.waiting:
            return
        self.timer.cancel()
        batch, self.waiting = self.waiting, []
        task = asyncio.create_task(self.answer(batch))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def answer(self, batch):
        try:
            vectors = await self.embed_batch([text for text, _ in batch])
        except Exception as error:
            if len(batch) == 1 and not batch[0][1].done():
                batch[0][1].set_exception(error)
            elif len(batch) > 1:
                await asyncio.gather(*(self.answer([each]) for each in batch))
            return
        for (_, future), vector in zip(batch, vectors, strict=True):
            if not future.done():
                future.set_result(vector)

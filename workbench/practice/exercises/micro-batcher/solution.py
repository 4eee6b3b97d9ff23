import asyncio


class MicroBatcher:
    def __init__(self, embed_batch, max_size, max_wait):
        """`await embed_batch(texts)` gives a list of vectors, one for each text, or raises."""
        self.embed_batch, self.max_size, self.max_wait = embed_batch, max_size, max_wait
        self.waiting, self.timer, self.tasks = [], None, set()

    async def embed(self, text):
        """The vector of one text."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.waiting.append((text, future))
        if len(self.waiting) == 1:
            self.timer = loop.call_later(self.max_wait, self._send)
        if len(self.waiting) == self.max_size:
            self._send()
        return await future

    async def close(self):
        """Return when everybody who has asked has an answer."""
        self._send()
        while self.tasks:
            await asyncio.wait(self.tasks)

    def _send(self):
        if not self.waiting:
            return
        self.timer.cancel()
        batch, self.waiting = self.waiting, []
        task = asyncio.create_task(self._answer(batch))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, batch):
        batch = [(text, future) for text, future in batch if not future.done()]
        if not batch:
            return
        try:
            vectors = await self.embed_batch([text for text, _ in batch])
        except Exception as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                await asyncio.gather(self._answer(batch[:middle]), self._answer(batch[middle:]))
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), vector in zip(batch, vectors, strict=True):
            if not future.done():
                future.set_result(vector)

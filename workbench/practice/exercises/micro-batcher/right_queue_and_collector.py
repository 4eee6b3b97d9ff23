import asyncio

END = object()


class MicroBatcher:
    """One task collects from a queue; each batch is sent by a task of its own."""

    def __init__(self, embed_batch, max_size, max_wait):
        self.embed_batch, self.max_size, self.max_wait = embed_batch, max_size, max_wait
        self.queue = asyncio.Queue()
        self.collector = asyncio.create_task(self.collect())

    async def embed(self, text):
        future = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((text, future))
        return await future

    async def close(self):
        self.queue.put_nowait(END)
        await self.collector

    async def collect(self):
        async with asyncio.TaskGroup() as group:
            item = await self.queue.get()
            while item is not END:
                batch, item = [item], None
                try:
                    async with asyncio.timeout(self.max_wait):
                        while len(batch) < self.max_size and item is not END:
                            item = await self.queue.get()
                            if item is not END:
                                batch.append(item)
                except TimeoutError:
                    pass
                group.create_task(self.send(batch))
                if item is not END:
                    item = await self.queue.get()

    async def send(self, batch):
        try:
            vectors = await self.embed_batch([text for text, _ in batch])
        except Exception:
            await asyncio.gather(*(self.send_one(*each) for each in batch))
        else:
            for (_, future), vector in zip(batch, vectors, strict=True):
                if not future.cancelled():
                    future.set_result(vector)

    async def send_one(self, text, future):
        try:
            vector = (await self.embed_batch([text]))[0]
            if not future.cancelled():
                future.set_result(vector)
        except Exception as error:
            if not future.cancelled():
                future.set_exception(error)

import asyncio


class MicroBatcher:
    def __init__(self, embed_batch, max_size, max_wait):
        self.embed_batch, self.max_size = embed_batch, max_size
        self.queue = asyncio.Queue()
        self.worker = asyncio.create_task(self.work())

    async def embed(self, text):
        future = asyncio.get_running_loop().create_future()
        await self.queue.put((text, future))
        return await future

    async def work(self):
        while True:
            batch = [await self.queue.get() for _ in range(self.max_size)]
            vectors = await self.embed_batch([text for text, _ in batch])
            for (_, future), vector in zip(batch, vectors, strict=True):
                if not future.done():
                    future.set_result(vector)

    async def close(self):
        self.worker.cancel()

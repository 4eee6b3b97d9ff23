import asyncio


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self.concurrency, self.queue = concurrency, queue
        self.jobs, self.workers, self.waiting = asyncio.Queue(), set(), 0

    async def run(self, call):
        if len(self.workers) >= self.concurrency and self.waiting >= self.queue:
            raise Overloaded
        job = asyncio.get_running_loop().create_future()
        if len(self.workers) < self.concurrency:
            return await self.started(call, job)
        self.waiting += 1
        self.jobs.put_nowait((call, job))
        try:
            return await job
        finally:
            if not hasattr(job, "task"):
                self.waiting -= job.cancelled()
            else:
                job.task.cancel()

    async def started(self, call, job):
        worker = asyncio.create_task(self.work(call, job))
        self.workers.add(worker)
        try:
            return await job
        except asyncio.CancelledError:
            job.task.cancel() if hasattr(job, "task") else worker.cancel()
            raise

    async def work(self, call, job):
        try:
            while True:
                job.task = task = asyncio.ensure_future(call())
                await asyncio.wait({task})
                if not job.done():
                    if task.cancelled():
                        job.cancel()
                    elif task.exception():
                        job.set_exception(task.exception())
                    else:
                        job.set_result(task.result())
                while True:
                    call, job = self.jobs.get_nowait()
                    if not job.done():
                        break
                self.waiting -= 1
        except asyncio.QueueEmpty:
            pass
        finally:
            self.workers.discard(asyncio.current_task())

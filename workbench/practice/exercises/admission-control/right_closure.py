import asyncio


class Overloaded(Exception):
    pass


def Admission(concurrency, queue):
    running, tickets = asyncio.BoundedSemaphore(concurrency), asyncio.BoundedSemaphore(concurrency + queue)

    class Gate:
        async def run(self, call):
            if tickets.locked():
                raise Overloaded("full")
            async with tickets, running:
                return await call()

    return Gate()

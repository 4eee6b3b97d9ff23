import asyncio


class Overloaded(Exception):
    pass


class Admission:
    def __init__(self, concurrency, queue):
        self._concurrency, self._queue = concurrency, queue
        self._running, self._line = 0, []
        self._changed = asyncio.Condition()

    async def run(self, call):
        me = object()
        if (
            len(self._line) >= self._queue
            and self._running + len(self._line) >= self._concurrency + self._queue
        ):
            raise Overloaded
        self._line.append(me)
        try:
            async with self._changed:
                await self._changed.wait_for(
                    lambda: self._line[0] is me and self._running < self._concurrency
                )
                self._running += 1
        finally:
            self._line.remove(me)
        try:
            async with self._changed:
                self._changed.notify_all()
            return await call()
        finally:
            self._running -= 1
            async with self._changed:
                self._changed.notify_all()

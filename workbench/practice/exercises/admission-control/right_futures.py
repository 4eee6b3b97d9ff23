import asyncio
import contextlib
from collections import deque


class Overloaded(Exception):
    pass


class Admission:
    """A free place is handed to the one who has waited longest."""

    def __init__(self, concurrency, queue):
        self.free, self.most, self.waiting = concurrency, queue, deque()

    async def run(self, call):
        if self.free:
            self.free -= 1
        elif len(self.waiting) >= self.most:
            raise Overloaded
        else:
            await self.turn()
        try:
            return await call()
        finally:
            self.leave()

    async def turn(self):
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):
                self.waiting.remove(turn)
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self):
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1

"""The way from a client to the engine and back: what the drivers, whatever they speak, have in common.

A driver hands in a request, waits until the head is due, then for each part of the body, and tells who has
gone.  All instants are on the line's one timeline; whoever waits in the queue is woken when it moves up.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterable

from workbench.clock import Timeline, date
from workbench.simulator.engine import Engine
from workbench.simulator.exchange import Breakage, Exchange
from workbench.simulator.reception import HttpRequest
from workbench.simulator.slots import SLACK

__all__ = ["Delivery", "Line", "head_due", "pause"]


class Line:
    """The way to one engine: its timeline, and a lock, since clients may sit in several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.timeline = Timeline()
        self.lock = threading.RLock()  # a script may read the log
        self.waiting: dict[int, Callable[[], object]] = {}  # by exchange number: how to wake who waits

    def receive(self, provider: str, request: HttpRequest, patience: float = math.inf) -> Delivery:
        """Hand a request to the engine.

        Args:
            provider: whose API it was sent to.
            request: what came.
            patience: seconds for which its client waits for the next bytes.
        """
        with self.lock:
            exchange = self.engine.receive(provider, request, self.timeline.now(), date())
            self._wake(exchange.moved_up)
        return Delivery(self, exchange, patience)

    def cancel(self, exchange: Exchange) -> None:
        """Tell the engine that a client has given up, and those that wait behind it."""
        with self.lock:
            self._wake(self.engine.cancel(exchange, self.timeline.now()))

    def _wake(self, moved_up: Iterable[Exchange]) -> None:
        for exchange in moved_up:
            if wake := self.waiting.pop(exchange.number, None):
                wake()


class Delivery:
    """One exchange on its way to a client, and how long that waits for the next bytes."""

    def __init__(self, line: Line, exchange: Exchange, patience: float) -> None:
        self.line, self.exchange, self.patience = line, exchange, patience
        self._deadline = exchange.arrival + patience

    def head_in(self) -> float:
        """Seconds until the head comes, or until the client's patience ends.

        Raises:
            TimeoutError: it has ended.
        """
        now = self.line.timeline.now()
        wait = self.exchange.start + self.exchange.head_offset - now
        if wait <= SLACK:
            return 0.0
        if now >= self._deadline - SLACK:
            raise TimeoutError
        return min(wait, self._deadline - now)

    @property
    def queues(self) -> bool:
        """Whether the service was not to begin at once: it may yet begin earlier than planned."""
        return self.exchange.start > self.exchange.arrival + SLACK

    def start(self, now: float) -> float:
        """When the service began, by a clock that reads `now`: from then on a stream's times are fixed."""
        return self.exchange.start + now - self.line.timeline.now()

    def whole(self) -> bytes | Breakage:
        """The whole body of an answer that does not stream."""
        self.exchange.delivered = True
        ((_, part),) = self.exchange.parts
        return part

    def close(self) -> None:
        """The client needs no more; if anything is outstanding, it has given up."""
        if not self.exchange.delivered:
            self.line.cancel(self.exchange)
        self.exchange.parts = ()  # the log keeps the exchange, but not its bytes


async def head_due(delivery: Delivery) -> None:
    """Wait until the head is due.

    Raises:
        TimeoutError: the client's patience has ended before.
    """
    while wait := delivery.head_in():
        if delivery.queues:
            await _queue(delivery)
        else:
            await pause(wait)


async def pause(seconds: float) -> None:
    """Wait as ``asyncio.sleep`` does, at half its cost: this is for each token."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    timer = loop.call_later(seconds, _wake, woken)
    try:
        await woken
    except BaseException:
        timer.cancel()
        raise


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


async def _queue(delivery: Delivery) -> None:
    """Wait until the head is due, or the queue has moved up, or the client's patience ends."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    waiting, number = delivery.line.waiting, delivery.exchange.number
    waiting[number] = lambda: loop.call_soon_threadsafe(changed.set)
    timer = loop.call_later(delivery.head_in(), changed.set)  # another thread may just have moved it up
    try:
        await changed.wait()
    finally:
        timer.cancel()
        waiting.pop(number, None)

"""Who calls what, as data; and one play of it.

A client is the very :class:`~workbench.calls.Resilient` that serves live calls (without its rate limiter,
which waits on an event loop).  Arrivals, network, service and policies each draw from a source of their own,
so that two policies meet the same calls on the same seed.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from workbench.calls import Resilient
from workbench.errors import CallNotPermittedError, ConfigurationError
from workbench.experiments.arrivals import Arrivals
from workbench.experiments.kernel import Kernel, Process
from workbench.experiments.results import OUTCOMES, Run
from workbench.experiments.service import Answer, Distribution, Server, Service, draw
from workbench.resilience.gates import Permits, admit, settle
from workbench.resilience.hedge import Hedge

__all__ = ["Play", "Run", "Scenario", "play"]

_TIMEOUT, _GIVEN_UP = TimeoutError("no answer in time"), GeneratorExit()
_AT_ONCE = 1000  # attempts in an instant, after which it is taken for a loop without an end


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Who calls what.

    Args:
        arrivals: when calls begin; they go round among the clients.
        service: what they call.
        client: makes a client: the policies that all its calls share; it is called anew for each of them.
        clients: how many there are.
        network: seconds of a message's way to the service, and of the answer's way back.
        seconds: how long calls begin.
        drain: seconds for which calls that have begun go on after that; what is left then is "unfinished".

    Raises:
        ConfigurationError: there are no clients, or no time.
    """

    arrivals: Arrivals
    service: Service
    client: Callable[[], Resilient] = Resilient
    clients: int = 1
    network: Distribution = 0.0
    seconds: float = 60.0
    drain: float = 60.0

    def __post_init__(self) -> None:
        if self.clients < 1:
            raise ConfigurationError(f"a scenario has at least 1 client, got {self.clients!r}")
        if not 0 < self.seconds < math.inf:
            raise ConfigurationError(f"seconds is a positive number, got {self.seconds!r}")


def play(scenario: Scenario, seed: int = 0) -> Run:
    """Play a scenario once.

    Args:
        scenario: who calls what.
        seed: of all that is random in it; the same seed gives the same result, in any process.

    Raises:
        ConfigurationError: retries take no time at all, and so would never end.
    """
    return Play(scenario, seed).run()


class Play:
    """One play: the processes, and what they have in common."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario, self.seed = scenario, seed
        self.kernel = Kernel()
        self.server = Server(scenario.service, random.Random(f"{seed} service"))
        self.rng = random.Random(f"{seed} policy")
        self.ways = random.Random(f"{seed} network")
        self.calls, self.attempts = array("d"), array("d")
        self.clients: dict[int, Resilient] = {}

    def begin(self) -> None:
        """Let the calls come, as soon as the kernel runs."""
        begin = self.scenario.arrivals.until(self.scenario.seconds, random.Random(f"{self.seed} arrivals"))
        self.kernel.start(self._arrivals(begin))

    def run(self) -> Run:
        """Play it to its end."""
        self.begin()
        self.kernel.run(self.scenario.seconds + self.scenario.drain)
        self.kernel.close()
        return Run(self.scenario, self.seed, self.calls, self.attempts)

    def _arrivals(self, instants: Iterable[float]) -> Process:
        for number, instant in enumerate(instants):
            yield instant
            which = number % self.scenario.clients
            if which not in self.clients:
                self.clients[which] = self.scenario.client()
            self.kernel.start(self._call(number, self.clients[which], instant))

    def _call(self, number: int, client: Resilient, begun: float) -> Process:
        outcome, sent, now = "unfinished", 0, begun
        retries = client.retry.begin(begun)
        try:
            while attempt := (yield from self._attempt(number, client, now)):
                end, error, made = attempt
                sent += made
                if error is None:
                    retries.success(end)
                    outcome = "ok"
                    break
                wait = retries.after(error, end, self.rng).wait
                if wait is None:
                    outcome = "failed"
                    break
                if end + wait == now and sent > _AT_ONCE:
                    raise ConfigurationError(
                        f"{sent} attempts have taken no time: add a backoff, or a network"
                    )
                now = end + wait
                if wait:
                    yield now
            else:
                outcome = "rejected"
        finally:
            self.calls.extend((number, begun, self.kernel.now, sent, OUTCOMES.index(outcome)))

    def _attempt(
        self, number: int, client: Resilient, now: float
    ) -> Generator[float, None, tuple[float, Exception | None, int] | None]:
        """Returns when it ended, with which error, and how many requests it made; None: none was permitted.

        With hedging that is up to two, and the first answer that is no error counts.
        """
        deadline = end = now + client.timeout
        requests: list[_Request] = []
        for sent in (now, now + client.hedge.delay() if client.hedge else math.inf):
            if requests and sent >= end:
                break
            try:
                permits = admit(client.gates, sent, self.rng)
            except CallNotPermittedError:
                break
            arrives = sent + draw(self.scenario.network, self.ways)
            if arrives >= end:  # nobody will wait for it any more, but it is on its way
                self.kernel.start(self._stray(number, sent, arrives), arrives)
                requests.append(_Request(sent, math.inf, None, permits))
                break
            yield arrives
            answer = self.server.admit(arrives)
            requests.append(
                _Request(sent, answer.at + draw(self.scenario.network, self.ways), answer, permits)
            )
            end = _end(requests, deadline)
        if not requests:
            return None
        yield end
        return end, self._settle(number, requests, end, deadline, client.hedge), len(requests)

    def _settle(
        self, number: int, requests: list[_Request], end: float, deadline: float, hedge: Hedge | None
    ) -> Exception | None:
        """Say to those who have admitted them what came of the requests; returns the error, if it failed."""
        errors: list[Exception | None] = []
        for sent, back, answer, permits in requests:
            error = answer.error if answer and back <= end else _TIMEOUT
            given_up = back > end and end < deadline
            settle(permits, end, end - sent, _GIVEN_UP if given_up else error)
            if hedge is not None and error is None:
                hedge.record(back - sent)
            if answer:
                outcome = "ok" if error is None else "failed" if back <= end else "lost"
                self._record(number, sent, end, answer, outcome)
            if not given_up:
                errors.append(error)
        return None if None in errors else errors[-1]

    def _stray(self, number: int, sent: float, arrives: float) -> Process:
        """A request that comes when its client no longer waits."""
        self._record(number, sent, arrives, self.server.admit(arrives), "lost")
        yield from ()

    def _record(self, number: int, sent: float, ended: float, answer: Answer, outcome: str) -> None:
        self.attempts.extend((number, sent, ended, answer.waited, answer.worked, OUTCOMES.index(outcome)))


class _Request(NamedTuple):
    """One request of an attempt; `back` is infinite where it came too late to be waited for."""

    sent: float
    back: float
    answer: Answer | None
    permits: Permits


def _end(requests: list[_Request], deadline: float) -> float:
    """An attempt ends at the first answer that is no error, else at the last error, or at the deadline."""
    if len(requests) == 1:
        return min(deadline, requests[0].back)
    answered = [each.back for each in requests if each.answer and each.answer.error is None]
    return min(deadline, min(answered) if answered else max(each.back for each in requests))

"""One policy, two drivers: live calls and the experiment kernel decide alike."""

import asyncio
import random
from collections.abc import Callable

import pytest

import workbench as wb
from workbench.errors import CallNotPermittedError
from workbench.experiments.arrivals import Arrivals
from workbench.experiments.scenario import Scenario, play
from workbench.experiments.service import Server, Service
from workbench.resilience import AdaptiveThrottle, AIMDLimit

SEED = 3
SERVICE = Service(seconds=0.31, per_request=0.013, slots=20, failure_rate=0.25, outages=((20.0, 30.0),))
_ARRIVALS = random.Random(1)
INSTANTS = tuple(sorted(_ARRIVALS.uniform(0, 60) for _ in range(400)))
Record = tuple[int, str, list[float]]
RETRY = wb.RetryPolicy(attempts=4, backoff=wb.Backoff(0.2, jitter="full"), max_elapsed=8)
POLICIES: dict[str, Callable[[], dict[str, object]]] = {
    "retry": lambda: {"retry": RETRY, "timeout": 0.6},
    "decorrelated": lambda: {
        "retry": wb.RetryPolicy(attempts=None, backoff=wb.Backoff(0.1, cap=3, jitter="decorrelated"))
    },
    "budget": lambda: {"retry": wb.RetryPolicy(budget=wb.RetryBudget.grpc())},
    "breaker": lambda: {
        "retry": RETRY,
        "breaker": wb.CircuitBreaker(seconds=5, minimum_calls=8, open_time=3, growth=2, permits=2),
    },
    "throttle": lambda: {"retry": RETRY, "throttle": AdaptiveThrottle(k=1.5, seconds=20)},
    "concurrency": lambda: {"retry": RETRY, "concurrency": AIMDLimit(initial=5, timeout=0.5)},
}


def simulated(policies: dict[str, object]) -> list[Record]:
    """What the kernel makes of each call: its number, its end, and when its requests were sent."""
    scenario = Scenario(
        arrivals=Arrivals(trace=INSTANTS),
        service=SERVICE,
        client=lambda: wb.Resilient(**policies),  # type: ignore[arg-type]  # they are its arguments
        seconds=60,
    )
    run = play(scenario, SEED)
    sent = run.attempts_frame().groupby("call")["sent"].apply(sorted)
    calls = run.to_frame()[["call", "outcome"]].itertuples(index=False, name=None)
    return sorted((int(call), str(outcome), sent.get(call, [])) for call, outcome in calls)


def live(policies: dict[str, object]) -> list[Record]:
    """The same of live calls to the same service, on an event loop."""
    server, sent = Server(SERVICE, random.Random(f"{SEED} service")), dict[int, list[float]]()
    resilient = wb.Resilient(**policies, rng=random.Random(f"{SEED} policy"))  # type: ignore[arg-type]

    async def request(number: int) -> None:
        sent.setdefault(number, []).append(wb.now())
        answer = server.admit(wb.now())
        await asyncio.sleep(answer.at - wb.now())
        if answer.error is not None:
            raise answer.error

    async def user(number: int) -> str:
        await asyncio.sleep(INSTANTS[number])
        try:
            await resilient.call(request, number)
        except CallNotPermittedError:
            return "rejected"
        except Exception:
            return "failed"
        return "ok"

    async def main() -> list[str]:
        return (await wb.fan_out(user, range(len(INSTANTS)), limit=len(INSTANTS))).values()

    outcomes = wb.run(main)
    return [(number, outcome, sent.get(number, [])) for number, outcome in enumerate(outcomes)]


@pytest.mark.parametrize("name", POLICIES)
def test_live_calls_and_the_kernel_decide_alike(name: str) -> None:
    """For the same calls at the same service: the same requests at the same instants, and the same ends."""
    ours, theirs = live(POLICIES[name]()), simulated(POLICIES[name]())
    assert [record[:2] for record in ours] == [record[:2] for record in theirs]
    for (_, _, here), (_, _, there) in zip(ours, theirs, strict=True):
        assert here == pytest.approx(there, abs=1e-6)
    outcomes = {outcome for _, outcome, _ in ours}
    assert ("rejected" in outcomes) == (name in ("breaker", "throttle", "concurrency"))
    assert any(len(sent) > 1 for _, _, sent in ours)

"""Calls under policies: real SDK clients against the simulator, in virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

import workbench as wb
from workbench.calls import Router
from workbench.clock import time_left
from workbench.errors import (
    CallNotPermittedError,
    ConfigurationError,
    InvalidRequestError,
    OverloadedError,
    ProviderConnectionError,
    ProviderTimeoutError,
    ServerError,
    StreamInterruptedError,
)
from workbench.events import Event, Finished, Started, TextDelta
from workbench.providers import Provider
from workbench.resilience import AdaptiveThrottle, AIMDLimit
from workbench.resilience.breaker import State

DOWN = ServerError("down", provider="p", status=500)
ASK = wb.Request(model="gpt-5.5", messages="why?")  # type: ignore[arg-type]  # a text is one message
SECOND = wb.Backoff(1, factor=1, jitter="none")
RETRY = wb.RetryPolicy(attempts=4, backoff=SECOND)


class Fake(Provider):
    """A provider that does what a list says, call by call: an error, or seconds until it answers."""

    name = "fake"

    def __init__(self, *script: Exception | float, cut: bool = False) -> None:
        self.script, self.calls, self.cut, self.closed = list(script), 0, cut, 0
        self.models: list[str] = []

    async def _next(self, request: wb.Request) -> None:
        step = self.script[min(self.calls, len(self.script) - 1)]
        self.calls += 1
        self.models.append(request.model)
        if isinstance(step, Exception):
            await asyncio.sleep(0.1)
            raise step
        await asyncio.sleep(step)

    async def complete(self, request: wb.Request) -> wb.Completion:
        await self._next(request)
        return wb.Completion(id="1", model=request.model, text="yes", usage=wb.Usage(output_tokens=5))

    async def stream(self, request: wb.Request) -> AsyncIterator[Event]:
        try:
            await self._next(request)
            yield Started(id="1", model=request.model)
            yield TextDelta(text="ye")
            if self.cut:
                raise StreamInterruptedError("cut", provider=self.name, partial="ye")
            yield Finished(stop_reason="stop", usage=wb.Usage(output_tokens=5))
        finally:
            self.closed += 1


async def drained(stream: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in stream]


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """In virtual time; no task is left."""

    async def checked() -> Any:
        try:
            return await main()
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return wb.run(checked)


# -- one call ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda policies, fake: policies.call(fake.complete, ASK), id="call"),
        pytest.param(lambda policies, fake: policies(fake.complete)(ASK), id="decorator"),
        pytest.param(lambda policies, fake: policies.provider(fake).complete(ASK), id="provider"),
    ],
)
def test_the_three_forms_are_one(ask: Callable[[wb.Resilient, Fake], Awaitable[wb.Completion]]) -> None:
    """A plain call, a decorated function and a wrapped provider do the same."""

    async def main() -> tuple[str, int, float]:
        fake = Fake(DOWN, DOWN, 0.5)
        completion = await ask(wb.Resilient(retry=RETRY), fake)
        return completion.text, fake.calls, wb.now()

    assert run(main) == ("yes", 3, pytest.approx(2.7))


def test_an_sdk_call_is_retried_as_it_is() -> None:
    """The raw SDK's own errors are understood, Retry-After included, and raised as they are."""
    sim = wb.Simulator(limits=wb.RateLimits(requests=1), script="yes")
    client = sim.openai(max_retries=0)
    policies = wb.Resilient(retry=wb.RetryPolicy(attempts=2, max_elapsed=100, backoff=SECOND))

    async def main() -> float:
        create = policies(client.chat.completions.create)
        for _ in range(2):
            await create(model="gpt-5.5", messages=[{"role": "user", "content": "why?"}])
        with pytest.raises(openai.NotFoundError) as caught:
            await create(model="none", messages=[{"role": "user", "content": "why?"}])
        assert caught.value.__notes__ == ["attempt 1 was the last: not retryable"]
        return wb.now()

    assert run(main) > 59  # it has waited for as long as it was asked to
    assert sim.log.statuses() == {200: 2, 429: 1, 404: 1}


def test_giving_up_says_why() -> None:
    """The last attempt's own error is raised, with a note of why it was the last."""

    async def main() -> None:
        fake = Fake(DOWN)
        with pytest.raises(ServerError) as caught:
            await wb.Resilient(retry=RETRY).provider(fake).complete(ASK)
        assert caught.value.__notes__[-1] == "attempt 4 was the last: attempts"
        assert fake.calls == 4

    run(main)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_the_time_of_retries_is_bounded(kind: str) -> None:
    """A provider that fails, then hangs, is left after the 30 seconds of the retry budget, not after 600."""
    outage = wb.Outage(start=0, end=5, kind="server_error")
    stall = wb.FaultWindow(start=5, end=1e6, stall_rate=1, stall_seconds=5000)
    sim = wb.Simulator(faults=wb.Faults(outages=(outage,), windows=(stall,)))

    async def main() -> float:
        provider: Provider = (
            wb.OpenAIProvider(sim.openai()) if kind == "openai" else wb.AnthropicProvider(sim.anthropic())
        )
        model = "gpt-5.5" if kind == "openai" else "claude-sonnet-5"
        policies = wb.Resilient(retry=wb.RetryPolicy(attempts=None, backoff=SECOND))
        with pytest.raises((TimeoutError, ProviderTimeoutError)) as caught:
            await policies.provider(provider).complete(ASK.model_copy(update={"model": model}))
        assert caught.value.__notes__[-1].endswith("was the last: time")
        return wb.now()

    assert run(main) == pytest.approx(30.0, abs=1e-6)


def test_each_attempt_has_its_own_time() -> None:
    """An attempt that takes longer than `timeout` is given up, and tried again."""

    async def main() -> tuple[int, float]:
        fake = Fake(100.0, 0.5)
        policies = wb.Resilient(retry=RETRY, timeout=3.0)
        assert (await policies.provider(fake).complete(ASK)).text == "yes"
        return fake.calls, wb.now()

    assert run(main) == (2, 4.5)


def test_a_deadline_reaches_nested_calls_and_the_sdk() -> None:
    """What is called inside sees what is left: our policies do not wait beyond it, nor does the SDK."""
    sim = wb.Simulator(faults=wb.Faults(stall_rate=1, stall_seconds=5000))
    seen: list[float] = []

    async def main() -> None:
        with wb.deadline(8.0), wb.deadline(20.0):

            async def inner() -> None:
                seen.append(round(time_left(), 6))
                raise DOWN

            with pytest.raises(ServerError):
                await wb.Resilient(
                    retry=wb.RetryPolicy(attempts=9, backoff=wb.Backoff(3, jitter="none"))
                ).call(wb.Resilient(retry=wb.RetryPolicy(attempts=1)).call, inner)
            with pytest.raises(ProviderTimeoutError):
                await wb.OpenAIProvider(sim.openai(timeout=100)).complete(ASK)
            assert wb.now() == pytest.approx(8.0, abs=0.3)  # the SDK's own floor: it counts from its sending
            await asyncio.sleep(1)
            with pytest.raises(ProviderTimeoutError, match="nothing was sent"):
                await wb.OpenAIProvider(sim.openai()).complete(ASK)
        assert time_left() == float("inf")

    run(main)
    assert seen == [8.0, 5.0]
    assert len(sim.log) == 1


def test_attempts_waits_and_refusals_are_spans() -> None:
    """A trace tells what a call's time went for."""
    breaker = wb.CircuitBreaker.after_failures(3, open_time=50)

    async def main() -> list[tuple[str, float]]:
        fake = Fake(DOWN)
        policies = wb.Resilient(retry=RETRY, breaker=breaker, limit=wb.RateLimiter(rpm=60, burst=0.02))
        with wb.recording() as trace:
            with pytest.raises(CallNotPermittedError) as caught:
                await policies.provider(fake).complete(ASK)
            assert caught.value.retry_after == 49.0
            assert isinstance(caught.value.__cause__, ServerError)
        assert trace[0].attributes["gen_ai.provider.name"] == "fake"
        assert {span.parent for span in trace if span.name in ("attempt", "backoff")} == {1}
        return [(span.name, round(span.duration, 3)) for span in trace]

    attempt = [("attempt", 0.1), ("queue", 0.0)]
    assert run(main) == [
        ("chat gpt-5.5", 3.3),
        *attempt,
        ("backoff", 1.0),
        *attempt,
        ("backoff", 1.0),
        *attempt,
        ("backoff", 1.0),
        ("attempt", 0.0),
        ("rejected", 0.0),
    ]


# -- gates ---------------------------------------------------------------------------------------------


def test_an_open_breaker_fails_fast() -> None:
    """While it is open nothing is sent, and nobody waits for the rate limiter."""
    breaker = wb.CircuitBreaker.after_failures(2, open_time=100)

    async def main() -> None:
        fake = Fake(DOWN, DOWN, 0.5)
        policies = wb.Resilient(breaker=breaker, limit=wb.RateLimiter(rpm=1000, burst=0.002))
        ask = policies.provider(fake).complete
        for _ in range(2):
            with pytest.raises(ServerError):
                await ask(ASK)
        start = wb.now()
        for _ in range(50):
            with pytest.raises(CallNotPermittedError, match="CircuitBreaker refused the call"):
                await ask(ASK)
        assert wb.now() == start
        assert fake.calls == 2
        await asyncio.sleep(100)
        assert (await ask(ASK)).text == "yes"
        assert breaker.state is State.CLOSED

    run(main)


def test_two_hundred_callers_share_the_permits() -> None:
    """Of 200 simultaneous callers of a half-open breaker with 7 permits exactly 7 reach the provider."""
    breaker = wb.CircuitBreaker.after_failures(1, open_time=10, permits=7)

    async def main() -> None:
        fake = Fake(DOWN, 1.0)
        ask = wb.Resilient(breaker=breaker).provider(fake).complete
        with pytest.raises(ServerError):
            await ask(ASK)
        await asyncio.sleep(10)
        results = await wb.fan_out(ask, [ASK] * 200, limit=200, on_error="return")
        assert Counter(type(result).__name__ for result in results) == {
            "Completion": 7,
            "CallNotPermittedError": 193,
        }
        assert fake.calls == 8
        assert breaker.state is State.CLOSED

    run(main)


def test_threads_share_a_breaker() -> None:
    """Event loops in several threads use the same policies: 40 callers, 3 permits, 3 calls."""
    breaker = wb.CircuitBreaker.after_failures(1, open_time=0, permits=3, half_open_time=1e9)
    made: list[int] = []
    policies = wb.Resilient(breaker=breaker)

    @policies
    async def call(fail: bool) -> None:
        made.append(1)
        if fail:
            raise DOWN

    with pytest.raises(ServerError):
        asyncio.run(call(True))
    breaker.open_time = 1e9  # whatever the probes say, nothing is admitted after them
    permits = [breaker.acquire(wb.now()) for _ in range(2)]  # two of the probes are still out
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(asyncio.run, call(False)) for _ in range(40)]
    errors = [future.exception() for future in futures]
    assert all(permits)
    assert Counter(type(error).__name__ for error in errors)["NoneType"] == len(made) - 1 == 1


def test_a_cancelled_call_gives_its_permit_back() -> None:
    """A probe whose caller has gone does not keep the breaker half-open for ever."""
    breaker = wb.CircuitBreaker.after_failures(1, open_time=10)

    async def main() -> None:
        fake = Fake(DOWN, 50.0, 0.5)
        ask = wb.Resilient(breaker=breaker).provider(fake).complete
        with pytest.raises(ServerError):
            await ask(ASK)
        await asyncio.sleep(10)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await ask(ASK)
        assert breaker.state.value == "half-open"
        assert (await ask(ASK)).text == "yes"
        assert breaker.state is State.CLOSED

    run(main)


def test_gates_before_the_one_that_refuses_get_their_permits_back() -> None:
    """A call that the breaker refuses does not count as in flight for the concurrency limit."""
    limit, breaker = AIMDLimit(initial=5), wb.CircuitBreaker.after_failures(1)

    async def main() -> None:
        policies = wb.Resilient(concurrency=limit, breaker=breaker)
        ask = policies.provider(Fake(DOWN)).complete
        for _ in range(3):
            with pytest.raises((ServerError, CallNotPermittedError)):
                await ask(ASK)
        assert limit.in_flight == 0

    run(main)


def test_a_throttle_refuses_by_itself() -> None:
    """A provider that fails is asked less and less; the refusals say by whom."""

    async def main() -> Counter[str]:
        fake, rng = Fake(DOWN), random.Random(1)
        ask = wb.Resilient(throttle=AdaptiveThrottle(), rng=rng).provider(fake).complete
        results = await wb.fan_out(ask, [ASK] * 200, limit=1, on_error="return")
        return Counter(type(result).__name__ for result in results)

    counts = run(main)
    assert counts["CallNotPermittedError"] > 180
    assert counts["ServerError"] > 0


# -- streams -------------------------------------------------------------------------------------------


def test_a_stream_is_retried_before_its_first_event_only() -> None:
    """What fails before the first event is tried again; what breaks off later is raised."""

    async def main() -> None:
        fake = Fake(DOWN, DOWN, 0.5)
        events = [event async for event in wb.Resilient(retry=RETRY).provider(fake).stream(ASK)]
        assert [event.type for event in events] == ["started", "text", "finished"]
        assert fake.calls == fake.closed == 3
        broken = Fake(0.5, cut=True)
        with pytest.raises(StreamInterruptedError) as caught:
            await drained(wb.Resilient(retry=RETRY).provider(broken).stream(ASK))
        assert caught.value.partial == "ye"
        assert broken.calls == 1

    run(main)


def test_a_stream_that_ends_before_it_has_begun_is_retried() -> None:
    """An interruption before the first event has told the consumer nothing."""
    cut = StreamInterruptedError("cut", provider="p", partial="")

    async def main() -> None:
        fake = Fake(cut, 0.5)
        assert len([e async for e in wb.Resilient(retry=RETRY).provider(fake).stream(ASK)]) == 3
        with pytest.raises(ProviderConnectionError, match="cut"):
            await anext(wb.Resilient().provider(Fake(cut)).stream(ASK))

    run(main)


def test_a_stream_without_events() -> None:
    """A stream that ends at once, from a server that is no real one, is a lost connection, and is retried."""

    class Empty(Fake):
        async def stream(self, request: wb.Request) -> AsyncIterator[Event]:
            self.calls += 1
            for event in list[Event]():
                yield event

    async def main() -> None:
        empty = Empty()
        with pytest.raises(ProviderConnectionError, match="no events"):
            await drained(wb.Resilient(retry=RETRY).provider(empty).stream(ASK))
        assert empty.calls == 4

    run(main)


def test_a_stream_counts_when_it_has_ended() -> None:
    """A stream that breaks off is a failure for the breaker; one that its consumer leaves is nothing."""
    breaker = wb.CircuitBreaker.after_failures(1)

    async def main() -> None:
        left = Fake(0.5)
        stream = wb.Resilient(breaker=breaker).provider(left).stream(ASK)
        assert (await anext(stream)).type == "started"
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert left.closed == 1
        assert breaker.state is State.CLOSED
        with pytest.raises(StreamInterruptedError):
            await drained(wb.Resilient(breaker=breaker).provider(Fake(0.5, cut=True)).stream(ASK))
        assert breaker.state.value == "open"

    run(main)


def test_the_limiter_learns_what_was_used() -> None:
    """What a call has used beyond its estimate is charged before the next one goes."""

    async def main() -> list[float]:
        policies = wb.Resilient(limit=wb.RateLimiter(tpm=60, burst=0.1), cost=lambda request: 1.0)
        provider, times = policies.provider(Fake(0.0)), []
        for _ in range(2):
            await provider.complete(ASK)
            times.append(wb.now())
            await drained(provider.stream(ASK))
            times.append(wb.now())
        return times

    assert run(main) == pytest.approx([0, 0, 5, 10], abs=1e-6)


# -- hedges --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_a_hedge_takes_the_first_answer(streamed: bool) -> None:
    """A second copy goes out after the delay; whichever answers first counts, and the other is cancelled."""

    async def main() -> tuple[int, float]:
        fake = Fake(60.0, 1.0)
        provider = wb.Resilient(hedge=wb.Hedge(after=2.0)).provider(fake)
        if streamed:
            assert len([event async for event in provider.stream(ASK)]) == 3
            assert fake.closed == 2
        else:
            assert (await provider.complete(ASK)).text == "yes"
        return fake.calls, wb.now()

    assert run(main) == (2, 3.0)


def test_a_quick_answer_is_not_hedged() -> None:
    """An answer, or an error, within the delay is the call's."""

    async def main() -> None:
        fake = Fake(1.0, DOWN)
        provider = wb.Resilient(hedge=wb.Hedge(after=2.0)).provider(fake)
        assert (await provider.complete(ASK)).text == "yes"
        with pytest.raises(ServerError):
            await provider.complete(ASK)
        assert fake.calls == 2

    run(main)


def test_a_hedge_that_fails_leaves_the_first() -> None:
    """Where the second copy fails or is refused, the first answer counts; where both fail, it raises."""

    async def main() -> None:
        provider = wb.Resilient(hedge=wb.Hedge(after=2.0)).provider(Fake(5.0, DOWN))
        assert (await provider.complete(ASK)).text == "yes"
        assert wb.now() == 5.0
        refused = wb.Resilient(hedge=wb.Hedge(after=2.0), concurrency=AIMDLimit(initial=1))
        assert (await refused.provider(Fake(5.0)).complete(ASK)).text == "yes"

        async def fails(times: list[float]) -> None:
            seconds = times.pop(0)
            await asyncio.sleep(seconds)
            raise ServerError(f"after {seconds}", provider="p")

        with pytest.raises(ServerError, match=r"after 5\.0"):
            await wb.Resilient(hedge=wb.Hedge(after=2.0)).call(fails, [5.0, 1.0])

    run(main)


def test_a_cancelled_hedge_leaves_nothing() -> None:
    """Cancelling a hedged call cancels both of its requests."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await wb.Resilient(hedge=wb.Hedge(after=2.0)).provider(Fake(60.0)).complete(ASK)

    run(main)


def test_both_answers_at_the_same_instant() -> None:
    """Two answers at once are one answer, and both requests are settled."""
    limit = AIMDLimit(initial=5)

    async def main() -> None:
        provider = wb.Resilient(hedge=wb.Hedge(after=2.0), concurrency=limit).provider(Fake(5.0, 3.0))
        assert len([event async for event in provider.stream(ASK)]) == 3
        assert limit.in_flight == 0

    run(main)


# -- the router ----------------------------------------------------------------------------------------


def test_a_router_fails_over_and_comes_back() -> None:
    """In an outage the next provider answers, and the first gets its calls back when it works again."""
    outage = wb.Outage(start=5, end=65)
    first = wb.Simulator(seed=1, faults=wb.Faults(outages=(outage,)))
    second = wb.Simulator(seed=2)

    async def main() -> list[str]:
        router = Router(
            {
                "gpt-5.5": wb.OpenAIProvider(first.openai()),
                "claude-sonnet-5": wb.AnthropicProvider(second.anthropic()),
            },
            breaker=lambda: wb.CircuitBreaker.after_failures(3, open_time=20),
        )
        assert isinstance(router, Provider)
        answers = []
        for second_of_call in range(0, 120, 2):
            await asyncio.sleep(max(0, second_of_call - wb.now()))
            answers.append((await router.complete(ASK)).model)
        return answers

    answers = run(main)
    by_provider = ["claude" if answer.startswith("claude") else "gpt" for answer in answers]
    changes = [n for n in range(1, 60) if by_provider[n] != by_provider[n - 1]]
    assert len(changes) == 2
    assert 6 <= changes[0] * 2 <= 8
    assert 65 <= changes[1] * 2 <= 91  # within an open time of the outage's end
    assert first.log.statuses()[503] <= 3 + 3  # three to open, and a probe for each open time


def test_a_400_does_not_fail_over() -> None:
    """A request that is wrong is wrong everywhere: it is raised at once, and hurts nobody's health."""

    async def main() -> None:
        wrong = InvalidRequestError("bad", provider="p", status=400)
        first, second = Fake(wrong), Fake(0.5)
        router = Router({"a": first, "b": second})
        for _ in range(10):
            with pytest.raises(InvalidRequestError):
                await router.complete(ASK)
        assert (first.calls, second.calls) == (10, 0)
        assert router.breakers["a"].state is State.CLOSED

    run(main)


def test_a_routers_stream() -> None:
    """A stream fails over before its first event; one that breaks off is not begun again elsewhere."""

    async def main() -> None:
        second = Fake(0.5)
        router = Router({"a": Fake(DOWN), "b": second})
        events = [event async for event in router.stream(ASK)]
        assert isinstance(events[0], Started)
        assert events[0].model == "b"
        broken = Router({"a": Fake(0.5, cut=True), "b": second})
        with pytest.raises(StreamInterruptedError):
            await drained(broken.stream(ASK))
        assert second.calls == 1

    run(main)


def test_no_provider_is_left() -> None:
    """Where all fail, the error is what the last provider said, with a note of each."""

    async def main() -> None:
        busy = OverloadedError("busy", provider="q", status=503)
        router = Router(
            {"a": Fake(DOWN), "b": Fake(busy)}, breaker=lambda: wb.CircuitBreaker.after_failures(1)
        )
        with pytest.raises(OverloadedError) as caught:
            await router.complete(ASK)
        assert caught.value.__notes__[-2:] == ["a: p 500: down", "b: q 503: busy"]
        with pytest.raises(CallNotPermittedError):
            await drained(router.stream(ASK))

    run(main)


def test_a_router_without_routes() -> None:
    """A router with nothing to route to is refused."""
    with pytest.raises(ConfigurationError, match="a route at least"):
        Router({})


def test_policies_nest() -> None:
    """Each route may have policies of its own: a provider under policies is a provider."""

    async def main() -> None:
        first = Fake(DOWN, DOWN, 0.5)
        router = Router({"a": wb.Resilient(retry=RETRY).provider(first), "b": Fake(0.5)})
        assert (await router.complete(ASK)).model == "a"
        assert first.calls == 3

    run(main)

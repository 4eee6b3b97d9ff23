"""Waiting as a client does: timeouts, cancellation, the queue; async, in threads, and on the wall clock."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from workbench.clock import now, run
from workbench.simulator import Faults, Latency, ModelProfile, RequestRecord, Simulator

MESSAGES: Any = [{"role": "user", "content": "Why?"}]
Make = Callable[..., Awaitable[Any]]


def simulator(*, slots: int = 2, script: Any = "one two three four", **options: Any) -> Simulator:
    """Models "m" with two places, whose answers take 2.3 s: a first token after 2 s, then one in 0.1 s."""
    models = [
        ModelProfile(
            name="m",
            provider=provider,
            ttft=Latency(mean=1.98),
            itl=Latency(mean=0.1),
            slots=slots,
            prefill_tokens_per_second=1e12,
        )
        for provider in ("openai", "anthropic")
    ]
    return Simulator(models=models, script=script, **options)


def ask(client: Any, **options: Any) -> Any:
    """The same question by any of the four kinds of client."""
    if isinstance(client, openai.AsyncOpenAI | openai.OpenAI):
        return client.chat.completions.create(model="m", messages=MESSAGES, **options)
    return client.messages.create(model="m", messages=MESSAGES, max_tokens=99, **options)


def read_sync(client: Any) -> int:
    """Read a stream to its end, and count its events."""
    return len(list(ask(client, stream=True)))


async def read(client: Any) -> int:
    """Read a stream to its end, and count its events."""
    return len([event async for event in await ask(client, stream=True)])


CLIENTS = pytest.mark.parametrize("kind", ["openai", "anthropic"])
ERRORS = {
    "openai": (openai.APITimeoutError, openai.APIConnectionError),
    "anthropic": (anthropic.APITimeoutError, anthropic.APIConnectionError),
}


def client_of(sim: Simulator, kind: str, **options: Any) -> Any:
    """A client without retries."""
    return getattr(sim, kind)(**{"max_retries": 0, **options})


# -- timeouts ------------------------------------------------------------------------------------------


@CLIENTS
@pytest.mark.parametrize("timeout", [0.5, httpx2.Timeout(9, read=0.5)])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("sync", [True, False])
def test_a_timeout_in_the_queue_is_exact(kind: str, timeout: Any, stream: bool, sync: bool) -> None:
    """Who still queues after the read timeout gives up at that instant, and the log says so."""
    sim = simulator(slots=1)

    async def main() -> float:
        first = asyncio.create_task(ask(client_of(sim, kind)))
        await asyncio.sleep(0.25)
        client = client_of(sim, f"{kind}_sync" if sync else kind, timeout=timeout)
        asking = asyncio.to_thread(ask, client, stream=stream) if sync else ask(client, stream=stream)
        with pytest.raises(ERRORS[kind][0]):
            await asking
        at = now()
        await first
        return at

    assert run(main) == pytest.approx(0.75, abs=1e-8)
    record = sim.log[1]
    assert (record.outcome, record.status, record.started) == ("cancelled", None, None)
    assert record.duration == pytest.approx(0.5, abs=1e-8)


@CLIENTS
def test_a_timeout_before_the_head_is_exact(kind: str) -> None:
    """Who waits for a whole answer waits for its head: the read timeout ends that."""
    sim = simulator()

    async def main() -> float:
        with pytest.raises(ERRORS[kind][0]):
            await ask(client_of(sim, kind, timeout=1.5))
        return now()

    assert run(main) == pytest.approx(1.5, abs=1e-8)
    assert (sim.log[0].outcome, sim.log[0].output_tokens) == ("cancelled", 0)


@CLIENTS
def test_an_answer_at_the_last_instant_is_in_time(kind: str) -> None:
    """A timeout as long as the answer takes does not end it."""

    async def main() -> float:
        await ask(client_of(simulator(), kind, timeout=2.3))
        return now()

    assert run(main) == pytest.approx(2.3)


@CLIENTS
@pytest.mark.parametrize("sync", [True, False])
def test_a_timeout_between_chunks_is_exact(kind: str, sync: bool) -> None:
    """A stream that stands still is given up after the read timeout, counted from its last chunk."""
    sim = simulator(faults=Faults(stall_rate=1, stall_seconds=60), seed=3)

    client = client_of(sim, f"{kind}_sync" if sync else kind, timeout=5)

    async def main() -> float:
        with pytest.raises((openai.APITimeoutError, httpx2.ReadTimeout)):
            await (asyncio.to_thread(read_sync, client) if sync else read(client))
        return now()

    ended = run(main)
    record = sim.log[0]
    last = record.tokens[-1] if record.tokens else 0.02
    assert ended == record.ended == pytest.approx(last + 5, abs=1e-6)
    assert record.outcome == "cancelled"


def test_a_slow_stream_is_no_timeout() -> None:
    """The read timeout is for each chunk, not for the whole stream."""

    assert run(lambda: read(client_of(simulator(), "openai", timeout=2))) == 6


def test_no_timeout_waits_for_ever() -> None:
    """With the timeout switched off a client outlasts any stall."""

    async def main() -> float:
        sim = simulator(faults=Faults(stall_rate=1, stall_seconds=5_000))
        await ask(client_of(sim, "openai", timeout=None))
        return now()

    assert run(main) == pytest.approx(5_002.3)


# -- cancellation --------------------------------------------------------------------------------------


async def cancel_task(sim: Simulator, kind: str) -> None:
    """Cancel a task that waits for a whole answer."""
    task = asyncio.create_task(ask(client_of(sim, kind)))
    await asyncio.sleep(1)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def time_out(sim: Simulator, kind: str) -> None:
    """Wait no longer than a second."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(client_of(sim, kind)), 1)


async def close_early(sim: Simulator, kind: str) -> None:
    """Close a stream before its first token."""
    stream = await ask(client_of(sim, kind), stream=True)
    await asyncio.sleep(1 - now())
    await stream.close()


async def cancel_reader(sim: Simulator, kind: str) -> None:
    """Cancel a task that reads a stream."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read(client_of(sim, kind)), 1)


async def sync_timeout(sim: Simulator, kind: str) -> None:
    """A sync client in a thread waits no longer than a second."""
    with pytest.raises(ERRORS[kind][0]):
        await asyncio.to_thread(ask, client_of(sim, f"{kind}_sync", timeout=1))


async def sync_close(sim: Simulator, kind: str) -> None:
    """A sync client in a thread closes its stream before the first token."""

    def read() -> None:
        stream = ask(client_of(sim, f"{kind}_sync"), stream=True)
        time.sleep(1 - now())
        stream.close()

    await asyncio.to_thread(read)


LEAVERS = [cancel_task, time_out, close_early, cancel_reader, sync_timeout, sync_close]


@CLIENTS
@pytest.mark.parametrize("leave", LEAVERS, ids=lambda f: f.__name__)
def test_who_gives_up_frees_the_place_at_that_instant(kind: str, leave: Any) -> None:
    """A client that goes after one second makes room then: those behind start earlier, each in its turn."""
    sim = simulator(slots=1)

    async def main() -> list[float]:
        leaver = asyncio.create_task(leave(sim, kind))
        await asyncio.sleep(0.1)
        behind = [
            asyncio.create_task(ask(client_of(sim, kind))),
            asyncio.create_task(asyncio.to_thread(ask, client_of(sim, f"{kind}_sync"))),
            asyncio.create_task(ask(client_of(sim, kind), stream=True)),
        ]
        ends = []
        for task in behind:
            answer = await task
            if hasattr(answer, "__aiter__"):
                assert [c async for c in answer]
            ends.append(now())
        await leaver
        return ends

    assert run(main) == pytest.approx([3.3, 5.6, 7.9], abs=1e-6)
    first, *others = sim.log
    assert (first.outcome, first.output_tokens) == ("cancelled", 0)
    assert first.ended == pytest.approx(1, abs=1e-8)
    assert [r.started for r in others] == pytest.approx([1, 3.3, 5.6], abs=1e-6)
    assert {r.outcome for r in others} == {"ok"}


@CLIENTS
@pytest.mark.parametrize("sync", [True, False])
def test_breaking_out_of_a_stream_cancels_it(kind: str, sync: bool) -> None:
    """Who breaks out of the loop and closes the stream has cancelled: the rest is never made."""
    sim = simulator()

    def read() -> None:
        with ask(client_of(sim, f"{kind}_sync"), stream=True) as stream:
            for event in stream:
                if "two" in str(event):
                    break

    async def main() -> None:
        if sync:
            await asyncio.to_thread(read)
            return
        async with await ask(client_of(sim, kind), stream=True) as stream:
            async for event in stream:
                if "two" in str(event):
                    break

    run(main)
    record = sim.log[0]
    assert (record.outcome, record.output_tokens, record.status) == ("cancelled", 2, 200)
    assert record.ended == pytest.approx(2.1)


def test_a_stream_that_is_dropped_is_cancelled() -> None:
    """Breaking out of the loop alone is enough once nothing holds the stream any more."""
    sim = simulator()

    async def read() -> None:
        async for chunk in await ask(client_of(sim, "openai"), stream=True):
            if "two" in str(chunk):
                break

    async def main() -> None:
        await read()
        await asyncio.sleep(0.01)

    run(main)
    assert sim.log[0].outcome == "cancelled"


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize(("patience", "arrives"), [(0.15, False), (0.25, True)])
def test_a_token_of_which_nothing_is_sent_calms_no_client(patience: float, arrives: bool, sync: bool) -> None:
    """The read timeout is about bytes: a token that ends inside a character brings none."""
    fast = ModelProfile(name="m", provider="openai", ttft=Latency(mean=0.05), itl=Latency(mean=0.1))
    sim = Simulator(models=[fast], script="🙃🙃🙃")  # two tokens each
    client = client_of(sim, "openai_sync" if sync else "openai", timeout=patience)

    async def main() -> int:
        return read_sync(client) if sync else await read(client)

    if arrives:
        assert run(main) == 5
    else:
        with pytest.raises((openai.APITimeoutError, httpx2.ReadTimeout)):
            run(main)
    assert sim.log[0].outcome == ("ok" if arrives else "cancelled")


def test_a_stream_may_be_cancelled_as_its_token_comes() -> None:
    """At one instant the client gives up first, then the token is due: it was cancelled, nothing fails."""
    sim = simulator()

    async def main() -> None:
        task = asyncio.create_task(read(client_of(sim, "openai")))
        asyncio.get_running_loop().call_at(2.1, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)
    assert sim.log[0].outcome == "cancelled"
    assert sim.log[0].ended == pytest.approx(2.1)


def test_many_may_be_cancelled_at_once() -> None:
    """Hundreds of queued requests that are cancelled together leave an empty server behind."""
    sim = simulator(slots=1)

    async def main() -> float:
        client = client_of(sim, "openai")
        tasks = [asyncio.create_task(ask(client)) for _ in range(300)]
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await ask(client)
        return now()

    assert run(main) == pytest.approx(3.3)
    assert sim.log.outcomes() == {"cancelled": 300, "ok": 1}


def test_nothing_is_left_behind() -> None:
    """After answers, failures and cancellations nobody is waiting, and no bytes are kept."""
    sim = simulator(slots=1)

    async def main() -> None:
        for leave in LEAVERS:
            await leave_at_once(leave)
        await read(client_of(sim, "openai"))
        await ask(client_of(sim, "anthropic"))

    async def leave_at_once(leave: Any) -> None:
        if leave in (cancel_task, time_out, cancel_reader, sync_timeout):
            await leave(sim, "openai")

    run(main)
    assert sim._line.waiting == {}
    assert all(exchange.parts == () for exchange in sim._line.engine.exchanges)


# -- the queue -----------------------------------------------------------------------------------------


def in_service(records: list[RequestRecord]) -> int:
    """The greatest number of requests that were served at once."""
    steps = [(r.started, 1) for r in records] + [(r.ended, -1) for r in records]
    peak = level = 0
    for _, step in sorted(steps, key=lambda step: (step[0] or 0.0, step[1])):
        level += step
        peak = max(peak, level)
    return peak


@CLIENTS
def test_the_queue_is_that_of_a_finite_server(kind: str) -> None:
    """Never more than the places are served, first come first served, and Little's law is exact."""
    sim = Simulator(seed=2, slots=3)
    model = {"openai": "gpt-4o", "anthropic": "claude-opus-5"}[kind]

    async def main() -> None:
        client = client_of(sim, kind)

        async def one(number: int) -> None:
            await asyncio.sleep(number * 0.4)
            if kind == "openai":
                await client.chat.completions.create(model=model, messages=MESSAGES, n=1 + number % 2)
            else:
                await client.messages.create(model=model, messages=MESSAGES, max_tokens=1 + number % 50)

        await asyncio.gather(*(one(number) for number in range(60)))

    run(main)
    records = list(sim.log)
    assert in_service(records) == 3
    starts = [r.started for r in records]
    assert None not in starts
    assert starts == sorted(starts, key=lambda at: at or 0.0)
    assert any(r.queued > 0.1 for r in records)
    # L = λW, with L as the area under the number of requests in the system
    steps = sorted([(r.arrival, 1) for r in records] + [(r.ended, -1) for r in records])
    area, level, before = 0.0, 0, 0.0
    for at, step in steps:
        area += level * (at - before)
        level, before = level + step, at
    assert area == pytest.approx(sum(r.duration for r in records), rel=1e-9)


def test_who_finds_a_place_free_does_not_queue() -> None:
    """As many clients as places, each asking again at once, never wait for a place."""
    sim = simulator(slots=3, script=None)

    async def main() -> None:
        client = client_of(sim, "openai")

        async def one() -> None:
            for _ in range(10):
                await ask(client)

        await asyncio.gather(*(one() for _ in range(3)))

    run(main)
    assert {r.queued for r in sim.log} == {0.0}


def test_a_sync_client_blocks_the_loop() -> None:
    """Called in a coroutine, a sync client stands in everybody's way, as it does in reality."""
    sim = simulator()

    async def main() -> list[float]:
        ticks: list[float] = []

        async def tick() -> None:
            while len(ticks) < 3:
                ticks.append(now())
                await asyncio.sleep(1)

        task = asyncio.create_task(tick())
        await asyncio.sleep(0.5)
        ask(client_of(sim, "openai_sync"))
        await task
        return ticks

    assert run(main) == pytest.approx([0, 2.8, 3.8])


# -- determinism ---------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, random
from workbench.clock import run, now
from workbench.simulator import Faults, Simulator

def program():
    faults = Faults(error_rate=0.1, reset_rate=0.05, disconnect_rate=0.2, stall_rate=0.1, malformed_rate=0.05)
    sim = Simulator(seed=7, slots=3, faults=faults)
    rng = random.Random(1)

    async def ask(client, number, **options):
        messages = [{"role": "user", "content": f"Question {number}: what is backpressure?"}]
        if hasattr(client, "chat"):
            return await client.chat.completions.create(model="gpt-4o", messages=messages, **options)
        return await client.messages.create(
            model="claude-sonnet-5", messages=messages, max_tokens=200, **options)

    def ask_sync(client, number):
        messages = [{"role": "user", "content": f"Sync {number}: what is jitter?"}]
        with client.chat.completions.create(model="gpt-4o", messages=messages, stream=True) as stream:
            for count, _ in enumerate(stream):
                if count > 20 + number:
                    break

    async def one(number, kind, start, patience):
        await asyncio.sleep(start)
        client = {"a": sim.openai, "b": sim.anthropic}.get(kind, sim.openai_sync)(timeout=patience)
        if kind == "c":
            await asyncio.to_thread(ask_sync, client, number)
        elif number % 2:
            async with await ask(client, number, stream=True) as stream:
                async for _ in stream:
                    pass
        else:
            await asyncio.wait_for(ask(client, number), patience * 0.7)

    async def main():
        jobs = [(n, rng.choice("abc"), rng.uniform(0, 3), rng.uniform(1, 6)) for n in range(40)]
        await asyncio.gather(*(one(*job) for job in jobs), return_exceptions=True)

    run(main)
    return sim.log
"""


def test_the_same_program_gives_the_same_log() -> None:
    """Async calls, sync calls in threads, timeouts and cancellations: in any process, one log."""
    space: dict[str, Any] = {}
    exec(PROGRAM, space)
    logs = [space["program"]() for _ in range(3)]
    elsewhere = subprocess.run(
        [sys.executable, "-c", f"{PROGRAM}\nprint(program().digest())"],
        env={"PYTHONHASHSEED": "4242"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert {log.digest() for log in logs} == {elsewhere}
    assert {"ok", "cancelled", "broken", "failed"} <= set(logs[0].outcomes())


# -- the wall clock ------------------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until it holds."""
    while not condition():  # noqa: ASYNC110 - a log sends no events
        await asyncio.sleep(0.001)


def quick() -> Simulator:
    """Models whose answers take 13 ms."""
    models = [
        ModelProfile(name="m", provider=provider, ttft=Latency(mean=0.008), itl=Latency(mean=0.001), slots=1)
        for provider in ("openai", "anthropic")
    ]
    return Simulator(models=models, script="one two three four", edge_latency=0.002)


@CLIENTS
def test_on_the_wall_clock_it_takes_the_time_it_takes(kind: str) -> None:
    """On the wall clock an async client waits, whole and streamed, at least as long as the log says."""
    sim = quick()

    async def main() -> None:
        client = client_of(sim, kind)
        await asyncio.gather(ask(client), ask(client))
        await read(client)

    before = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - before >= 3 * 0.0129
    assert sim.log.outcomes() == {"ok": 3}


@CLIENTS
def test_a_sync_client_needs_no_loop(kind: str) -> None:
    """Without any loop a sync client works on the wall clock, whole and streamed, timeouts included."""
    sim = quick()
    client = client_of(sim, f"{kind}_sync")
    ask(client)
    with ask(client, stream=True) as stream:
        assert len(list(stream)) >= 4
    with pytest.raises(ERRORS[kind][0]):
        ask(client_of(sim, f"{kind}_sync", timeout=0.004))
    assert sim.log.outcomes() == {"ok": 2, "cancelled": 1}


def test_on_the_wall_clock_a_place_is_freed_at_once() -> None:
    """On the wall clock, too, who gives up lets those behind start earlier, in threads and in the loop."""
    sim = simulator(slots=1)

    async def main() -> None:
        tasks = [asyncio.create_task(ask(client_of(sim, "openai"))) for _ in range(2)]
        await until(lambda: len(sim.log) == 2)
        thread = asyncio.create_task(asyncio.to_thread(ask, client_of(sim, "openai_sync", timeout=0.1)))
        await until(lambda: len(sim.log) == 3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, thread, return_exceptions=True)

    asyncio.run(main())
    last = sim.log[-1]
    assert last.started is not None
    assert last.started < 1

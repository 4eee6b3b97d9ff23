"""The simulator's cost beside the SDK's own: the same calls on httpx2's MockTransport, answers canned."""

import asyncio
import statistics
import time
from collections.abc import Callable

import httpx2
import openai

import workbench as wb

CALLS, IN_FLIGHT, STREAMS, TOKENS, ROUNDS = 1000, 50, 100, 64, 7
SLOW = wb.ModelProfile(
    name="slow",
    provider="openai",
    ttft=wb.Latency(mean=28, cv=0.1),
    itl=wb.Latency(mean=0.03, cv=0.5),
    slots=IN_FLIGHT,
)
TEXT = "word" + " word" * (TOKENS - 1)


def ask(number: int) -> dict[str, object]:
    content = f"Question {number}: why does jitter help exponential backoff?"
    return {"model": "slow", "messages": [{"role": "user", "content": content}]}


async def calls(client: openai.AsyncOpenAI) -> None:
    """1,000 calls, 50 at a time."""
    free = asyncio.Semaphore(IN_FLIGHT)

    async def one(number: int) -> None:
        async with free:
            await client.chat.completions.create(**ask(number))  # type: ignore[call-overload]

    await asyncio.gather(*map(one, range(CALLS)))


async def streams(client: openai.AsyncOpenAI) -> None:
    """100 streams of 64 tokens at once, read to the end."""

    async def one(number: int) -> None:
        chunks = await client.chat.completions.create(**ask(number), stream=True)  # type: ignore[call-overload]
        async for _ in chunks:
            pass

    await asyncio.gather(*map(one, range(STREAMS)))


def simulated(work: Callable[[openai.AsyncOpenAI], object], script: str | None) -> float:
    simulator = wb.Simulator(seed=1, models=[SLOW], script=script)
    start = time.process_time()
    wb.run(lambda: work(simulator.openai()))  # type: ignore[arg-type,return-value]
    return time.process_time() - start


def canned(work: Callable[[openai.AsyncOpenAI], object], kind: str, body: bytes) -> float:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": kind})

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    client = openai.AsyncOpenAI(api_key="none", base_url="http://canned.invalid/v1", http_client=http)
    start = time.process_time()
    asyncio.run(work(client))  # type: ignore[arg-type]
    return time.process_time() - start


def body(stream: bool, script: str | None) -> bytes:
    """What the simulator itself answers: the canned answer is that."""

    async def main() -> bytes:
        client = wb.Simulator(seed=1, models=[SLOW], script=script).openai()
        raw = client.chat.completions.with_streaming_response
        async with raw.create(**ask(0), stream=stream) as response:  # type: ignore[call-overload]
            return bytes(await response.read())

    return wb.run(main)


def main() -> list[dict[str, object]]:
    """Measure both, in turns; one row for each kind of call."""
    rows: list[dict[str, object]] = []
    for name, work, script, kind in (
        (f"{CALLS} calls of about 30 s, {IN_FLIGHT} at a time", calls, None, "application/json"),
        (f"{STREAMS} streams of {TOKENS} tokens", streams, TEXT, "text/event-stream"),
    ):
        canned_body = body(work is streams, script)
        pairs = [(simulated(work, script), canned(work, kind, canned_body)) for _ in range(ROUNDS)]
        ours, floor = (statistics.median(column) for column in zip(*pairs, strict=True))
        rows.append({"what": name, "simulator_s": ours, "floor_s": floor, "ratio": ours / floor})
        print(f"{name:<44} {ours:6.3f} s CPU, the SDK's floor {floor:6.3f} s: {ours / floor:5.2f} ×")
    return rows


if __name__ == "__main__":
    main()

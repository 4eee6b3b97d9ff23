"""The cost of a replay beside vcrpy's, and beside the SDK's own: CPU of the same calls, answers canned."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx2
import openai
import vcr
from sdk_floor import TEXT, TOKENS

import workbench as wb
from workbench.cassettes import export_vcr

CALLS, STREAMS, ROUNDS = 200, 50, 5
URL = "http://canned.invalid/v1"
Work = Callable[[openai.AsyncOpenAI], Coroutine[Any, Any, None]]


def question(number: int) -> dict[str, Any]:
    content = f"Question {number}: why does jitter help exponential backoff?"
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}


async def calls(client: openai.AsyncOpenAI) -> None:
    for number in range(CALLS):
        await client.chat.completions.create(**question(number))


async def streams(client: openai.AsyncOpenAI) -> None:
    for number in range(STREAMS):
        async for _ in await client.chat.completions.create(**question(number), stream=True):
            pass


def record(work: Work, path: Path) -> None:
    simulator = wb.Simulator(seed=1, script=TEXT)
    with wb.Cassette(path, mode="record") as tape:
        http = tape.async_client(simulator.async_transport("openai"))
        wb.run(lambda: work(openai.AsyncOpenAI(api_key="none", base_url=URL, http_client=http)))


def cpu(work: Work, http: httpx2.AsyncClient) -> float:
    client = openai.AsyncOpenAI(api_key="none", base_url=URL, http_client=http)
    start = time.process_time()
    asyncio.run(work(client))
    return time.process_time() - start


def measure(work: Work, ours: Path, theirs: Path) -> tuple[float, float, float]:
    """Seconds of CPU for us, for vcrpy and for the SDK alone; files are read before."""
    tape = wb.Cassette(ours)
    first = tape.exchanges[0].response
    assert first is not None
    canned = httpx2.Response(200, content=first.body, headers=first.headers)
    floor = cpu(work, httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: canned)))
    mine = cpu(work, tape.async_client())
    with vcr.use_cassette(str(theirs), record_mode="none", match_on=["method", "path", "body"]):
        their = cpu(work, httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport()))
    return mine, their, floor


def main() -> list[dict[str, object]]:
    """Measure all three, in turns; one row for each kind of call."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, work, count in (
            ("whole answer", calls, CALLS),
            (f"stream of {TOKENS} tokens", streams, STREAMS),
        ):
            ours, theirs = Path(folder, "ours.yaml"), Path(folder, "theirs.yaml")
            record(work, ours)
            export_vcr(ours, theirs)
            rounds = [measure(work, ours, theirs) for _ in range(ROUNDS)]
            mine, their, floor = (
                1e3 * statistics.median(column) / count for column in zip(*rounds, strict=True)
            )
            rows.append({"what": name, "ours_ms": mine, "vcrpy_ms": their, "floor_ms": floor})
            print(
                f"{name:<22} ours {mine:6.2f} ms CPU, vcrpy {their:6.2f} ms, the SDK's floor {floor:6.2f} ms"
            )
    return rows


if __name__ == "__main__":
    main()

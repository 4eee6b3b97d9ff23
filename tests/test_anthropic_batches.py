"""Anthropic's message batches through the real SDK, in the simulator's time."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import anthropic
import pytest
from anthropic.types.messages import MessageBatch
from hypothesis import given
from hypothesis import strategies as st

from workbench.clock import run, sleep
from workbench.simulator import Faults, Latency, ModelProfile, Outage, RateLimits, Simulator
from workbench.simulator.anthropic_batches import Batch, Line

MODEL = "claude-sonnet-5"
MADE = datetime(2025, 1, 1, 12, tzinfo=UTC)
DONE = {"type": "succeeded", "message": {}}
WRONG = {"type": "errored", "error": {}}


def slow(seconds: float) -> ModelProfile:
    """A model that takes so long for each answer."""
    return ModelProfile(name=MODEL, provider="anthropic", ttft=Latency(mean=seconds))


def request(custom_id: str, **params: Any) -> Any:
    """One request of a batch."""
    message = {"role": "user", "content": f"Question {custom_id}: why jitter?"}
    return {
        "custom_id": custom_id,
        "params": {"model": MODEL, "max_tokens": 50, "messages": [message], **params},
    }


def act(sim: Simulator, main: Callable[[anthropic.Anthropic], Any], **client: Any) -> Any:
    """Run what a blocking client does, in virtual time."""
    claude = sim.anthropic_sync(max_retries=0, **client)

    async def run_it() -> Any:
        return main(claude)

    return run(run_it)


def wait_for(claude: anthropic.Anthropic, batch: MessageBatch) -> MessageBatch:
    """Poll until it has ended."""
    while batch.processing_status != "ended":
        sleep(5.0)
        batch = claude.messages.batches.retrieve(batch.id)
    return batch


def counts(batch: MessageBatch) -> dict[str, int]:
    """The tallies that are not zero."""
    return {name: count for name, count in batch.request_counts if count}


def refused(main: Callable[[anthropic.Anthropic], Any], kind: type[Exception], sim: Simulator) -> str:
    """The message of the error that it is answered by."""
    with pytest.raises(kind) as caught:
        act(sim, main)
    body: Any = getattr(caught.value, "body", None)
    message: str = body["error"]["message"]
    return message


# -- the state of a batch is a function of time ---------------------------------------------------------


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Batches in any order of work, some of them cancelled."""
    made = draw(st.floats(0, 1000))
    spans = draw(st.lists(st.tuples(st.floats(1, 90_000), st.floats(0, 9000)), min_size=1, max_size=8))
    lines = [
        Line(f"{index}", made + start, made + start + length, DONE if length else WRONG)
        for index, (start, length) in enumerate(spans)
    ]
    cancelled = draw(st.none() | st.floats(0, 90_000))
    batch = Batch("msgbatch_1", made, MADE, lines)
    if cancelled is not None and not batch.has_ended(made + cancelled):
        batch.cancelled_at = made + cancelled
    return batch


@given(batches(), st.lists(st.floats(0, 100_000), min_size=2))
def test_a_batch_counts_what_becomes_of_it(batch: Batch, times: Sequence[float]) -> None:
    """At each instant the tallies sum up to all requests; once it has ended it never changes."""
    views = [batch.view(batch.made_at + at, "url") for at in sorted(times)]
    for view in views:
        tally = view["request_counts"]
        assert sum(tally.values()) == len(batch.lines)
        ended = view["processing_status"] == "ended"
        assert tally["processing"] == (0 if ended else len(batch.lines))
        assert (view["ended_at"] is not None) == (view["results_url"] is not None) == ended
        assert ended or view["processing_status"] == ("canceling" if batch.cancelled_at else "in_progress")
    for before, after in pairwise(views):
        assert before == after or before["processing_status"] != "ended"
    final = batch.view(batch.expires_at, "url")
    results = Counter(result["result"]["type"] for result in batch.results())
    assert final["request_counts"] == {"processing": 0, **dict.fromkeys(_KINDS, 0), **results}


_KINDS = ("succeeded", "errored", "canceled", "expired")


def test_each_request_has_its_own_end() -> None:
    """What was under way at the cancellation is finished; what takes over a day expires."""
    lines = [
        Line("done", 1, 5, DONE),
        Line("under way", 5, 20, DONE),
        Line("wrong", 3, 3, WRONG),
        Line("waits", 11, 12, DONE),
        Line("endless", 6, 90_000, DONE),
    ]
    batch = Batch("msgbatch_1", 0, MADE, lines, cancelled_at=10)
    kinds = {result["custom_id"]: result["result"]["type"] for result in batch.results()}
    assert kinds == {
        "done": "succeeded",
        "under way": "succeeded",
        "wrong": "errored",
        "waits": "canceled",
        "endless": "expired",
    }
    assert batch.ended_at == 24 * 3600


# -- through the SDK ------------------------------------------------------------------------------------


def test_a_batch_is_answered_apart() -> None:
    """It ends in its time, each request by its own id; live limits, faults and queue have no part in it."""
    sim = Simulator(3, models=[slow(30)], limits=RateLimits(requests=1), slots=1, faults=Faults(error_rate=1))
    requests = [request(f"q-{index}") for index in range(20)]

    def main(claude: anthropic.Anthropic) -> None:
        made = claude.messages.batches.create(requests=requests)
        assert (made.processing_status, counts(made)) == ("in_progress", {"processing": 20})
        assert made.expires_at - made.created_at == timedelta(days=1)
        assert made.results_url is None
        batch = wait_for(claude, made)
        assert counts(batch) == {"succeeded": 20}
        assert batch.ended_at is not None
        # Eight at a time: three rounds.
        assert 90 < (batch.ended_at - batch.created_at).total_seconds() < 110
        results = {line.custom_id: line.result for line in claude.messages.batches.results(batch.id)}
        assert sorted(results) == sorted(f"q-{index}" for index in range(20))
        for result in results.values():
            assert result.type == "succeeded"
            assert result.message.usage.service_tier == "batch"
            assert 0 < result.message.usage.output_tokens <= 50
        assert len({result.message.id for result in results.values() if result.type == "succeeded"}) == 20

    act(sim, main)
    assert [record.route for record in sim.log[:2]] == [
        "POST /v1/messages/batches",
        "GET /v1/messages/batches/{id}",
    ]


def test_the_results_are_where_the_url_says() -> None:
    """The URL of the results leads to them, as JSON lines, without the SDK's help."""
    import httpx2

    from workbench.simulator.transport import SyncTransport

    sim = Simulator()

    def main(claude: anthropic.Anthropic) -> None:
        batch = wait_for(claude, claude.messages.batches.create(requests=[request("a"), request("b")]))
        assert batch.results_url is not None
        headers = {"x-api-key": "simulated-key", "anthropic-version": "2023-06-01"}
        with httpx2.Client(transport=SyncTransport(sim._line, "anthropic")) as http:
            response = http.get(batch.results_url, headers=headers)
        assert response.headers["content-type"] == "application/x-jsonl"
        assert len(response.text.splitlines()) == 2

    act(sim, main)


def test_wrong_requests_err_alone() -> None:
    """A wrong request is told among the results, in the words of a live error; the others are answered."""
    wrong = {
        "model": request("model", model="claude-0"),
        "limit": request("limit", max_tokens=0),
        "stream": request("stream", stream=True),
        "call": request("call", messages=[{"role": "assistant", "content": [{"type": "tool_use"}]}]),
    }

    def main(claude: anthropic.Anthropic) -> None:
        batch = wait_for(claude, claude.messages.batches.create(requests=[*wrong.values(), request("good")]))
        assert counts(batch) == {"succeeded": 1, "errored": 4}
        kinds = {}
        for line in claude.messages.batches.results(batch.id):
            if line.result.type == "errored":
                kinds[line.custom_id] = line.result.error.error.type
        bad = "invalid_request_error"
        assert kinds == {"model": "not_found_error", "limit": bad, "stream": bad, "call": bad}

    act(Simulator(), main)


def test_a_batch_is_cancelled() -> None:
    """What has not begun is canceled, what is under way is finished; then the batch has ended."""

    def main(claude: anthropic.Anthropic) -> None:
        made = claude.messages.batches.create(requests=[request(f"{index}") for index in range(20)])
        sleep(40)
        cancelled = claude.messages.batches.cancel(made.id)
        assert cancelled.processing_status == "canceling"
        assert cancelled.cancel_initiated_at is not None
        assert claude.messages.batches.cancel(made.id).cancel_initiated_at == cancelled.cancel_initiated_at
        with pytest.raises(anthropic.BadRequestError, match="still being processed"):
            claude.messages.batches.delete(made.id)
        batch = wait_for(claude, cancelled)
        assert counts(batch) == {"succeeded": 16, "canceled": 4}
        kinds = Counter(line.result.type for line in claude.messages.batches.results(made.id))
        assert kinds == {"succeeded": 16, "canceled": 4}
        with pytest.raises(anthropic.BadRequestError, match="has ended"):
            claude.messages.batches.cancel(made.id)

    act(Simulator(models=[slow(30)]), main)


def test_a_batch_expires() -> None:
    """After a day it ends in any case; what was not done by then has expired."""

    def main(claude: anthropic.Anthropic) -> None:
        made = claude.messages.batches.create(requests=[request(f"{index}") for index in range(9)])
        sleep(24 * 3600 - 1)
        assert claude.messages.batches.retrieve(made.id).processing_status == "in_progress"
        sleep(1)
        batch = claude.messages.batches.retrieve(made.id)
        assert counts(batch) == {"succeeded": 8, "expired": 1}
        assert batch.ended_at == batch.expires_at

    act(Simulator(models=[slow(50_000)]), main)


def test_batches_are_listed_and_deleted() -> None:
    """The newest come first, in pages; a deleted one is gone for good, even for a lenient simulator."""

    def main(claude: anthropic.Anthropic) -> None:
        made = [claude.messages.batches.create(requests=[request("a")]).id for _ in range(5)]
        assert [batch.id for batch in claude.messages.batches.list(limit=2)] == made[::-1]
        page = claude.messages.batches.list(limit=2, after_id=made[3])
        assert ([batch.id for batch in page.data], page.has_more) == ([made[2], made[1]], True)
        page = claude.messages.batches.list(limit=2, before_id=made[1])
        assert [batch.id for batch in page.data] == [made[3], made[2]]
        sleep(60)
        assert claude.messages.batches.delete(made[4]).to_dict() == {
            "id": made[4],
            "type": "message_batch_deleted",
        }
        assert [batch.id for batch in claude.messages.batches.list()] == made[3::-1]
        for gone in (claude.messages.batches.retrieve, claude.messages.batches.delete):
            with pytest.raises(anthropic.NotFoundError):
                gone(made[4])

    act(Simulator(), main)
    act(Simulator(lenient=True), main)


def test_a_batch_is_its_keys_own() -> None:
    """Another key does not see it."""
    sim = Simulator()
    made = act(sim, lambda claude: claude.messages.batches.create(requests=[request("a")]).id)
    assert act(sim, lambda claude: claude.messages.batches.list().data, api_key="other") == []
    with pytest.raises(anthropic.NotFoundError):
        act(sim, lambda claude: claude.messages.batches.retrieve(made), api_key="other")


@pytest.mark.parametrize(
    ("requests", "complaint"),
    [
        ([request("a"), request("b"), request("a")], "requests: custom_id values must be unique, but 'a'"),
        ([], "requests: List should have at least 1 item"),
        ([request("x" * 65)], "requests.0.custom_id: String should have at most 64 characters"),
        ([request("no spaces")], "requests.0.custom_id: String should match pattern"),
        ([{"custom_id": "a"}], "requests.0.params: Field required"),
    ],
)
def test_a_batch_that_is_none_is_refused(requests: Any, complaint: str) -> None:
    """Ids must be unique and in form, and each request must have its parameters."""
    message = refused(
        lambda claude: claude.messages.batches.create(requests=requests),
        anthropic.BadRequestError,
        Simulator(),
    )
    assert message.startswith(complaint)


def test_results_are_not_there_before_the_end() -> None:
    """Asked for too early, the results are a 404 that says what to wait for."""

    def main(claude: anthropic.Anthropic) -> Any:
        made = claude.messages.batches.create(requests=[request("a")])
        return claude.get(f"/v1/messages/batches/{made.id}/results", cast_to=object)

    assert "wait until its processing_status is 'ended'" in refused(
        main, anthropic.NotFoundError, Simulator()
    )


def test_a_lenient_simulator_makes_batches_up() -> None:
    """A batch that was never made has ended, and is the same whenever it is asked for."""
    sim = Simulator(lenient=True)

    def main(claude: anthropic.Anthropic) -> None:
        first = claude.messages.batches.retrieve("message_batch_id")
        sleep(1000)
        assert claude.messages.batches.retrieve("message_batch_id") == first
        assert first.processing_status == "ended"
        assert claude.messages.batches.cancel(first.id).cancel_initiated_at is not None
        assert claude.messages.batches.delete(first.id).id == first.id
        assert list(claude.messages.batches.results(first.id)) == []

    act(sim, main)
    with pytest.raises(anthropic.NotFoundError):
        act(Simulator(), lambda claude: claude.messages.batches.retrieve("message_batch_id"))


def test_a_batch_reads_what_it_has_written_to_the_cache() -> None:
    """Requests of one batch share their beginnings: who comes later reads what the first have written."""
    book = " ".join(f"Sentence number {index} says nothing that is new." for index in range(400))
    system = [{"type": "text", "text": book, "cache_control": {"type": "ephemeral"}}]

    def main(claude: anthropic.Anthropic) -> list[int]:
        requests = [request(f"{index}", system=system) for index in range(12)]
        batch = wait_for(claude, claude.messages.batches.create(requests=requests))
        lines = {line.custom_id: line.result for line in claude.messages.batches.results(batch.id)}
        return [
            result.message.usage.cache_read_input_tokens or 0
            for _, result in sorted(lines.items(), key=lambda item: int(item[0]))
            if result.type == "succeeded"
        ]

    read = act(Simulator(), main)
    assert read[:8] == [0] * 8
    assert all(tokens > 1024 for tokens in read[8:])


def test_the_same_seed_gives_the_same_results() -> None:
    """A batch and its results are the same in any run."""

    def main(claude: anthropic.Anthropic) -> list[Any]:
        batch = wait_for(claude, claude.messages.batches.create(requests=[request("a"), request("b")]))
        return [line.to_dict() for line in claude.messages.batches.results(batch.id)]

    assert act(Simulator(9), main) == act(Simulator(9), main)
    assert act(Simulator(9), main) != act(Simulator(8), main)


def test_who_gives_up_has_no_batch() -> None:
    """A batch whose client did not wait for the answer was never made."""
    sim = Simulator(edge_latency=1.0)

    async def main(claude: anthropic.AsyncAnthropic) -> Any:
        impatient = claude.with_options(timeout=0.5)
        with pytest.raises(anthropic.APITimeoutError):
            await impatient.messages.batches.create(requests=[request("a")])
        return await claude.messages.batches.list()

    assert run(lambda: main(sim.anthropic(max_retries=0))).data == []


def test_an_outage_holds_no_batch_up() -> None:
    """A batch is processed while the door is shut; only asking about it fails."""
    sim = Simulator(faults=Faults(outages=(Outage(start=10, end=100),)))

    def main(claude: anthropic.Anthropic) -> None:
        made = claude.messages.batches.create(requests=[request("a")])
        sleep(50)
        with pytest.raises(anthropic.APIStatusError):
            claude.messages.batches.retrieve(made.id)
        sleep(60)
        batch = claude.messages.batches.retrieve(made.id)
        assert batch.ended_at is not None
        assert (batch.ended_at - batch.created_at).total_seconds() < 10

    act(sim, main)

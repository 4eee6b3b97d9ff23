"""The engine as such: bytes in, a schedule out, no clock and no SDK."""

import itertools
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ConfigurationError
from workbench.messages import Completion, Message, Request, Usage
from workbench.simulator import (
    Faults,
    Latency,
    ModelProfile,
    Outage,
    RateLimits,
    RequestLog,
    RequestRecord,
    Simulator,
)
from workbench.simulator.engine import Engine
from workbench.simulator.exchange import Breakage, Exchange
from workbench.simulator.reception import HttpRequest
from workbench.simulator.streaming import chunks
from workbench.wire.dialect import Call
from workbench.wire.openai_answer import StreamEncoder

START = datetime(2025, 1, 1, tzinfo=UTC)
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
HEADERS = {"authorization": "Bearer k", "anthropic-version": "2023-06-01"}
MODELS = [
    ModelProfile(name="m", provider=provider, ttft=Latency(mean=1), itl=Latency(mean=0.1), slots=2)
    for provider in ("openai", "anthropic")
]


def engine(**options: Any) -> Engine:
    """An engine with a model "m" of known speed for each provider."""
    defaults: dict[str, Any] = {
        "seed": 1,
        "models": MODELS,
        "faults": Faults(),
        "script": "one two three four",
        "keys": None,
        "edge_latency": 0.02,
        "max_body_bytes": 10_000,
    }
    return Engine(**defaults | options)


def send(
    to: Engine,
    now: float = 0.0,
    *,
    provider: str = "openai",
    method: str = "POST",
    path: str | None = None,
    headers: dict[str, str] | None = None,
    raw: bytes | None = None,
    **body: Any,
) -> Exchange:
    """Send one request and consume nothing of its answer."""
    if raw is None:
        messages = [{"role": "user", "content": "Why?"}]
        raw = json.dumps({"model": "m", "max_tokens": 50, "messages": messages, **body}).encode()
    header = (HEADERS if headers is None else headers).get
    request = HttpRequest(method, PATHS[provider] if path is None else path, header, raw)
    return to.receive(provider, request, now, START + timedelta(seconds=now))


def body_of(exchange: Exchange) -> Any:
    """The JSON of an answer that does not stream."""
    ((_, part),) = exchange.parts
    assert isinstance(part, bytes)
    return json.loads(part)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


PARAMETERS = ["tools", "tool_choice", "stop", "n", "system", "stream", "output_config", "response_format"]


@given(
    st.sampled_from(["openai", "anthropic"]),
    st.binary(max_size=50)
    | ANYTHING.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {
            "model": st.just("m"),
            "messages": st.just([{"role": "user", "content": "Hm"}]),
            "max_tokens": st.just(9),
        },
        optional=dict.fromkeys(PARAMETERS, ANYTHING),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_any_bytes_have_an_answer(provider: str, raw: bytes) -> None:
    """Whatever is sent, the provider answers by 200 or says what is wrong, and logs it."""
    provided = engine(script=None)
    exchange = send(provided, provider=provider, raw=raw)
    assert exchange.status in (200, 400, 404, 413)
    assert list(exchange.parts)
    assert provided.log()[0].outcome == ("ok" if exchange.status == 200 else "rejected")


@given(ANYTHING, st.sampled_from(["openai", "anthropic"]))
def test_any_tool_schema_has_an_answer(schema: Any, provider: str) -> None:
    """A tool whose schema is nonsense is refused; none makes the provider fail."""
    parameters = schema if isinstance(schema, dict) else {"properties": {"a": schema}, "required": ["a"]}
    tool: dict[str, Any] = {"name": "f", "input_schema": parameters}
    choice: Any = {"type": "any"}
    if provider == "openai":
        tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
        choice = "required"
    exchange = send(engine(script=None), provider=provider, tools=[tool], tool_choice=choice)
    assert exchange.status in (200, 400)


@pytest.mark.parametrize("value", [r'"\ud800"', "NaN", "-Infinity"])
def test_what_no_answer_could_repeat_is_refused(value: str) -> None:
    """Half a surrogate pair is no text and NaN no number: neither may come back from a schema."""
    schema = f'{{"properties": {{"a": {{"const": {value}}}}}, "required": ["a"]}}'
    tool = f'{{"type": "function", "function": {{"name": "f", "parameters": {schema}}}}}'
    asked = '{"model": "m", "messages": [{"role": "user", "content": "?"}], "tool_choice": "required"'
    exchange = send(engine(script=None), raw=f'{asked}, "tools": [{tool}]}}'.encode())
    assert exchange.status == 400
    assert "could not parse" in body_of(exchange)["error"]["message"]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param({"raw": b"{"}, 400, id="no JSON"),
        pytest.param({"raw": b"[" * 9_000}, 400, id="too deep"),
        pytest.param({"raw": b" " * 10_001}, 413, id="too large"),
        pytest.param({"method": "PUT"}, 405, id="method"),
        pytest.param({"path": "/v1/nothing"}, 404, id="path"),
        pytest.param({"headers": {}}, 401, id="no key"),
        pytest.param({"model": "x"}, 404, id="no such model"),
        pytest.param({"max_tokens": 99_999}, 400, id="too long an answer"),
        pytest.param({"messages": [{"role": "user", "content": "no " * 3_000}]}, 400, id="too long"),
        pytest.param({"messages": 3}, 400, id="no messages"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(provider: str, request_: dict[str, Any], status: int) -> None:
    """Each wrong request has its own status, at once, and takes nobody's place."""
    models = [m.model_copy(update={"context_window": 2_000}) for m in MODELS]
    provided = engine(models=models)
    exchange = send(provided, provider=provider, **request_)
    assert exchange.status == status
    assert (exchange.head_offset, exchange.duration) == (0.02, 0)
    assert body_of(exchange)["error"]["message"]
    assert provided.log()[0].started is None


def test_anthropic_wants_its_version() -> None:
    """A request without the header anthropic-version is refused."""
    exchange = send(engine(), provider="anthropic", headers={"x-api-key": "k"})
    assert body_of(exchange)["error"]["message"] == "anthropic-version: header is required"


def test_only_the_keys_given_are_accepted() -> None:
    """Where keys are given, another one is refused without being repeated."""
    provided = engine(keys={"secret": None})
    assert send(provided, headers={"authorization": "Bearer secret"}).status == 200
    refused = send(provided, headers={"authorization": "Bearer wrong-key"})
    assert refused.status == 401
    assert "wrong-key" not in body_of(refused)["error"]["message"]


def test_an_answer_takes_what_the_model_takes() -> None:
    """First token: edge, model and prompt; then a gap a token; the whole answer comes with its last."""
    exchange = send(engine())
    tokens = exchange.input_tokens
    first = 0.02 + 1 + tokens / 8000
    assert exchange.head_offset == exchange.duration == pytest.approx(first + 3 * 0.1)
    record = exchange.record(math.inf)
    assert record.first_token == pytest.approx(first)
    assert record.output_tokens == len(record.tokens) == 4
    assert [b - a for a, b in itertools.pairwise(record.tokens)] == pytest.approx([0.1] * 3)


def test_a_stream_sends_each_token_when_it_is_made() -> None:
    """The parts of a stream are due with the tokens, its head at once."""
    exchange = send(engine(), stream=True)
    offsets = [offset for offset, _ in exchange.parts]
    assert offsets == pytest.approx(exchange.record(math.inf).tokens)
    assert exchange.head_offset == 0.02


@given(
    st.sampled_from(["openai", "anthropic"]),
    st.text() | st.text("🙃日é👩\u200d a\n", max_size=30),
    st.integers(1, 40),
)
def test_a_stream_ends_with_its_last_token(provider: str, text: str, limit: int) -> None:
    """Wherever an answer is cut, even inside a character: all its text, and its end with the last token."""
    options: dict[str, Any] = {"provider": provider, "max_tokens": limit}
    whole = body_of(send(engine(script=text), **options))
    exchange = send(engine(script=text), stream=True, **options)
    offsets, parts = zip(*exchange.parts, strict=True)
    tokens = exchange.record(math.inf).tokens
    assert len(tokens) == max(1, *exchange.output_tokens)
    assert {round(offset, 9) for offset in offsets} <= {*tokens}
    assert round(offsets[-1], 9) == tokens[-1]
    assert parts[-1].endswith(b"data: [DONE]\n\n" if provider == "openai" else b'"message_stop"}\n\n')
    data = [line for line in b"".join(parts).decode().split("\n") if line.startswith("data: {")]
    events = [json.loads(line.removeprefix("data: ")) for line in data]
    if provider == "openai":
        deltas = [choice["delta"] for event in events for choice in event["choices"]]
        said, answer = [d["content"] for d in deltas if d and "role" not in d], whole["choices"][0]["message"]
        assert "".join(said) == answer["content"]
    else:
        said = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
        assert "".join(said) == "".join(block["text"] for block in whole["content"])
    assert all(said), "nothing is sent of a token that ends inside a character"


@pytest.mark.parametrize("counted", [1, 2, 3, 5])
def test_a_stream_keeps_to_the_tokens_that_were_counted(counted: int) -> None:
    """An answer of other pieces than were counted has a chunk for each token that was, and all its text."""
    answer = Completion(id="1", model="m", text="one two three", usage=Usage(output_tokens=counted))
    call = Call(Request(model="m", messages=(Message(role="user", content="?"),)))
    made = chunks([answer], StreamEncoder(call, 0, 0))
    assert len(made) == counted
    assert all(word in b"".join(made) for word in (b"one", b" two", b" three"))
    assert made[-1].endswith(b"data: [DONE]\n\n")


def test_each_choice_counts() -> None:
    """With n choices the usage and the log count the tokens of all of them."""
    exchange = send(engine(), n=3)
    assert body_of(exchange)["usage"]["completion_tokens"] == 12
    assert exchange.record(math.inf).output_tokens == 12


@pytest.mark.parametrize("stream", [True, False])
def test_a_stall_delays_what_follows(stream: bool) -> None:
    """A stall is one pause in the middle of the answer; nothing is lost."""
    exchange = send(engine(faults=Faults(stall_rate=1, stall_seconds=30)), stream=stream)
    tokens = [0.0, *exchange.record(math.inf).tokens]
    assert sum(b - a > 25 for a, b in itertools.pairwise(tokens)) == 1
    assert exchange.duration == tokens[-1]


def test_a_disconnect_takes_the_place_of_a_token() -> None:
    """A stream that breaks off yields the breakage when the token is due, and nothing more."""
    exchange = send(engine(faults=Faults(disconnect_rate=1)), stream=True)
    *before, (offset, last) = exchange.parts
    assert last is Breakage.DISCONNECTED
    assert all(isinstance(part, bytes) for _, part in before)
    assert offset == exchange.duration
    assert (exchange.record(math.inf).outcome, exchange.record(math.inf).error) == ("broken", "disconnected")


@given(st.integers(0, 200), st.sampled_from(["openai", "anthropic"]))
def test_split_characters_lose_nothing(seed: int, provider: str) -> None:
    """Cut inside its characters, a stream has the same bytes, and most chunks end inside one."""
    options = {"seed": seed, "script": "é 日本 🙂 ü ñ"}
    whole = send(engine(**options), provider=provider, stream=True)
    cut = send(engine(**options, faults=Faults(split_characters=True)), provider=provider, stream=True)
    pieces = [part for _, part in cut.parts if isinstance(part, bytes)]
    assert b"".join(pieces) == b"".join(part for _, part in whole.parts if isinstance(part, bytes))
    assert sum(piece[-1] >= 0x80 for piece in pieces) >= 5


def test_plain_characters_are_not_split() -> None:
    """A text without multi-byte characters comes as it is."""
    whole, cut = (send(engine(faults=Faults(split_characters=on)), stream=True) for on in (False, True))
    assert list(whole.parts) == list(cut.parts)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_malformed_event_is_no_json(provider: str) -> None:
    """Exactly one event of a malformed stream is no JSON."""
    exchange = send(engine(faults=Faults(malformed_rate=1)), provider=provider, stream=True)
    data = b"".join(part for _, part in exchange.parts if isinstance(part, bytes)).decode()
    lines = [line.removeprefix("data: ") for line in data.split("\n") if line.startswith("data: {")]
    broken = 0
    for line in lines:
        try:
            json.loads(line)
        except ValueError:
            broken += 1
    assert broken == 1


@pytest.mark.parametrize(
    ("kind", "openai_status"), [("server_error", 500), ("overloaded", 503), ("refuse", None)]
)
def test_in_an_outage_every_request_fails(kind: Any, openai_status: int | None) -> None:
    """From its start until just before its end, an outage answers everything its own way."""
    provided = engine(faults=Faults(outages=(Outage(start=10, end=20, kind=kind),)))
    statuses = [send(provided, now).status for now in (9.999, 10.0, 19.999, 20.0)]
    assert statuses == [200, openai_status, openai_status, 200]


@pytest.mark.parametrize(
    ("name", "status", "share"),
    [
        ("error_rate", 500, 0.25),
        ("overload_rate", 503, 0.25),
        ("refuse_rate", None, 0.25),
        ("reset_rate", None, 0.25),
    ],
)
def test_a_rate_of_faults_is_a_probability(name: str, status: int | None, share: float) -> None:
    """Of 2,000 requests about the share asked for fails, the same requests sent again included."""
    provided = engine(faults=Faults.model_validate({name: share}))
    failed = [send(provided, float(n)).status for n in range(2_000)].count(status)
    assert abs(failed / 2_000 - share) < 4 * math.sqrt(share * (1 - share) / 2_000)


# -- limits --------------------------------------------------------------------------------------------


def limited(**limits: Any) -> Engine:
    """An engine whose models have these limits a minute."""
    return engine(models=[m.model_copy(update={"limits": RateLimits(**limits)}) for m in MODELS])


def test_the_limits_are_told_with_each_answer() -> None:
    """Remaining and reset are right at the instant of arrival, for OpenAI in its own headers."""
    provided = limited(requests=6, tokens=600)
    first, second = send(provided, 0.0), send(provided, 4.0)
    cost = first.input_tokens + 50
    assert first.headers["x-ratelimit-limit-requests"] == "6"
    assert first.headers["x-ratelimit-remaining-requests"] == "5"
    assert first.headers["x-ratelimit-reset-requests"] == "10s"
    assert first.headers["x-ratelimit-remaining-tokens"] == str(600 - cost)
    assert first.headers["x-ratelimit-reset-tokens"] == f"{cost / 10:g}s"
    assert second.headers["x-ratelimit-remaining-requests"] == "4"
    assert second.headers["x-ratelimit-reset-requests"] == "16s"


def test_anthropic_counts_input_and_output_apart() -> None:
    """The estimate of the output is held at arrival, and corrected once the answer is known."""
    provided = limited(input_tokens=600, output_tokens=600)
    first, second = send(provided, 0.0, provider="anthropic"), send(provided, 0.0, provider="anthropic")
    left = "anthropic-ratelimit-{}-tokens-remaining".format
    assert first.headers[left("input")] == str(600 - first.input_tokens)
    assert second.headers[left("input")] == str(600 - 2 * first.input_tokens)
    estimate = 600 - int(first.headers[left("output")])
    assert second.headers[left("output")] == str(600 - 4 - estimate)
    assert first.headers["anthropic-ratelimit-input-tokens-reset"].startswith("2025-01-01T00:00:0")


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@given(burst=st.integers(1, 8), gap=st.floats(0, 3))
def test_after_retry_after_the_same_request_passes(provider: str, burst: int, gap: float) -> None:
    """Whoever waits as long as asked passes; a millisecond before the limit allows it, nobody does."""
    provided = limited(requests=5)
    now = 0.0
    while (refused := send(provided, now, provider=provider)).status == 200:
        now += gap / burst
        if now > 200:
            return
    assert refused.status == 429
    wait = 60 / 5 - provided_wait(provided, now)
    if provider == "openai":
        after = int(refused.headers["retry-after-ms"]) / 1000
        assert after - 0.001 <= wait + 1e-6
        assert wait <= after + 1e-6
        assert send(provided, now + after - 0.0011, provider=provider).status == 429
    else:
        after = float(refused.headers["retry-after"])
        assert "retry-after-ms" not in refused.headers
        assert after == math.ceil(round(wait, 6))
    assert send(provided, now + wait - 0.001, provider=provider).status == 429
    assert send(provided, now + after, provider=provider).status == 200


def provided_wait(provided: Engine, now: float) -> float:
    """Seconds' worth of one request that the bucket has already refilled, by the log alone."""
    level = 5.0
    at = 0.0
    for record in provided.log():
        level = min(5.0, level + (record.arrival - at) / 12)
        at = record.arrival
        level -= record.status == 200
    return level * 12


def test_a_request_above_the_limit_need_not_be_retried() -> None:
    """No waiting helps who asks for more than a minute's tokens: the answer says so."""
    refused = send(limited(tokens=40))
    assert refused.status == 429
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    assert body_of(refused)["error"]["type"] == "tokens"


def test_a_refused_request_costs_nothing() -> None:
    """What one limit refuses is taken from no other."""
    provided = limited(requests=1, tokens=100_000)
    first, refused = send(provided), send(provided)
    assert refused.status == 429
    tokens = "x-ratelimit-remaining-tokens"
    assert refused.headers[tokens] == first.headers[tokens]


def test_each_key_and_each_model_has_its_own_limits() -> None:
    """A key that is used up does not stand in another's way."""
    provided = limited(requests=1)
    keys = [{"authorization": f"Bearer {key}"} for key in ("a", "a", "b")]
    assert [send(provided, headers=key).status for key in keys] == [200, 429, 200]


# -- the log -------------------------------------------------------------------------------------------


def test_the_log_is_one_json_object_a_line() -> None:
    """Each line of the log has the record's fields; the digest is that of the text."""
    provided = engine()
    send(provided, 0.1 + 0.2)
    send(provided, 1.0, model="x")
    log = provided.log()
    lines = [json.loads(line) for line in log.to_jsonl().splitlines()]
    assert [set(line) for line in lines] == [set(RequestRecord.__dataclass_fields__)] * 2
    assert lines[0]["arrival"] == 0.3
    assert lines[0]["tokens"] == list(log[0].tokens)
    assert log.digest() == RequestLog(list(log)).digest() != log[:1].digest()


def test_the_log_counts() -> None:
    """Outcomes, statuses and the peak are counted over all requests."""
    provided = engine()
    for now in (0.0, 0.0, 0.0, 50.0):
        send(provided, now)
    send(provided, 60.0, model="x")
    log = provided.log()
    assert log.outcomes() == {"ok": 4, "rejected": 1}
    assert log.statuses() == {200: 4, 404: 1}
    assert log.peak_in_flight() == 3
    assert repr(log) == "<RequestLog: 5 requests (4 ok, 1 rejected)>"


def test_the_log_is_a_table() -> None:
    """One row a request, with the seconds in the queue and in all."""
    provided = engine()
    for _ in range(3):
        send(provided)
    frame = provided.log().to_frame()
    assert list(frame.index) == [1, 2, 3]
    assert frame["queued"].tolist() == pytest.approx([0, 0, provided.log()[0].ended])
    assert frame["duration"].tolist() == pytest.approx((frame["ended"] - frame["arrival"]).tolist())


@pytest.mark.parametrize(
    ("faults", "gone_at", "outcome"),
    [
        ({}, 0.5, "cancelled"),
        ({"disconnect_rate": 1}, 0.5, "cancelled"),
        ({"malformed_rate": 1}, 0.5, "cancelled"),
        ({"malformed_rate": 1}, 1.31, "broken"),
        ({"disconnect_rate": 1}, 9.0, "broken"),
        ({"error_rate": 1}, 0.01, "cancelled"),
        ({"error_rate": 1}, 0.02, "failed"),
        ({}, 9.0, "ok"),
    ],
)
def test_who_ended_it_is_told_by_who_came_first(faults: Any, gone_at: float, outcome: str) -> None:
    """A client that goes before anything has gone wrong has cancelled; after that, it has not."""
    provided = engine(faults=Faults(**faults))
    exchange = send(provided, stream=True)
    provided.cancel(exchange, gone_at)
    provided.cancel(exchange, gone_at + 1)
    record = provided.log()[0]
    assert record.outcome == outcome
    assert record.ended <= max(gone_at, exchange.end)
    assert (record.error is None) == (outcome in ("ok", "cancelled"))
    assert all(at <= record.ended for at in record.tokens)


def test_a_log_that_was_read_before_the_queue_moved_up_is_right_after_it() -> None:
    """What a log said of a request that waited changes with its start; of one that was served, it stays."""
    provided = engine()
    first, second, waiting = (send(provided) for _ in range(3))
    before = provided.log()
    assert before[2].started == before[0].ended
    assert provided.cancel(second, 0.5) == [waiting]
    after = provided.log()
    assert after[0] == before[0]
    assert after[2].started == 0.5
    assert after[2].tokens == pytest.approx([at - before[2].started + 0.5 for at in before[2].tokens])
    assert after[2] == waiting.record(math.inf)
    assert [len(record.tokens) for record in provided.log(first.start + 1.05)] == [1, 0, 0]


@pytest.mark.parametrize("options", [{"edge_latency": 0}, {"slots": 0}, {"slots": -1}])
def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    """A simulator that cannot be is not made."""
    with pytest.raises(ConfigurationError):
        Simulator(**options)

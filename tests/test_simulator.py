"""The simulated provider through the real SDKs: what a user of either sees."""

import asyncio
import functools
import json
import queue
import random
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import jsonschema
import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from workbench.clock import now, run
from workbench.errors import ConfigurationError
from workbench.messages import ToolCall
from workbench.simulator import CATALOG, Faults, Latency, ModelProfile, Outage, RateLimits, Simulator
from workbench.simulator.models import Gaps
from workbench.tokens import count

QUESTION = "Why does jitter help when many clients in Zürich retry at once?"
MESSAGES: Any = [{"role": "user", "content": QUESTION}]
GPT, CLAUDE = "gpt-4o", "claude-sonnet-5"
CLIENTS = pytest.mark.parametrize("kind", ["openai", "anthropic", "openai_sync", "anthropic_sync"])

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "unit": {"enum": ["C", "F"]},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TIME: dict[str, Any] = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
SCHEMAS = {"get_weather": WEATHER, "get_time": TIME}
DESCRIPTIONS = {"get_weather": "the weather in a city", "get_time": "the time in a zone"}
TOOLS: Any = [
    {"type": "function", "function": {"name": n, "description": DESCRIPTIONS[n], "parameters": s}}
    for n, s in SCHEMAS.items()
]
CLAUDE_TOOLS: Any = [
    {"name": n, "description": DESCRIPTIONS[n], "input_schema": s} for n, s in SCHEMAS.items()
]
BOTH: Any = [{"role": "user", "content": "What is the weather in Zürich for 3 days, and the time there?"}]
NEITHER: Any = [{"role": "user", "content": "Who are you?"}]


class Step(BaseModel):
    """A part of a plan."""

    title: str
    hours: float


class Plan(BaseModel):
    """What a model is asked to fill in."""

    city: str
    steps: list[Step]
    note: str | None = None


def call(sim: Simulator, kind: str, *, client: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """The whole answer, by any of the four clients, in virtual time."""
    made = getattr(sim, kind)(**{"max_retries": 0, **(client or {})})
    options = {"messages": MESSAGES, "model": GPT if "openai" in kind else CLAUDE, **options}
    if "openai" in kind:
        ask = made.chat.completions.create
    else:
        ask, options = made.messages.create, {"max_tokens": 400, **options}

    async def main() -> Any:
        return ask(**options) if kind.endswith("_sync") else await ask(**options)

    return run(main)


def text_of(answer: Any) -> str:
    """What an answer says."""
    if isinstance(answer, ChatCompletion):
        return answer.choices[0].message.content or ""
    return "".join(block.text for block in answer.content if block.type == "text")


def streamed(sim: Simulator, kind: str, **options: Any) -> list[Any]:
    """The events of a stream, by any of the four clients, in virtual time."""
    made = getattr(sim, kind)(max_retries=0)
    options = {"messages": MESSAGES, "model": GPT if "openai" in kind else CLAUDE, "stream": True, **options}
    if "openai" in kind:
        ask = made.chat.completions.create
    else:
        ask, options = made.messages.create, {"max_tokens": 400, **options}

    async def main() -> list[Any]:
        if kind.endswith("_sync"):
            return list(ask(**options))
        return [event async for event in await ask(**options)]

    return run(main)


def streamed_text(events: list[Any], choice: int = 0) -> str:
    """What a stream says."""
    if events and hasattr(events[0], "choices"):
        said = [c.delta.content for event in events for c in event.choices if c.index == choice]
        return "".join(text or "" for text in said)
    return "".join(
        event.delta.text
        for event in events
        if event.type == "content_block_delta" and event.delta.type == "text_delta"
    )


def plain(value: Any) -> Any:
    """A message without ids, dates and what is not there."""
    if isinstance(value, dict):
        skipped = {"id", "created", "object", "parsed", "parsed_arguments", "parsed_output", "index"}
        return {k: plain(v) for k, v in value.items() if k not in skipped and v not in (None, [])}
    return [plain(item) for item in value] if isinstance(value, list) else value


# -- words ---------------------------------------------------------------------------------------------


@CLIENTS
def test_the_answer_is_about_the_question(kind: str) -> None:
    """Without a script the model answers from what it knows and from the prompt, by any client."""
    assert "jitter" in text_of(call(Simulator(), kind)).lower()
    context = "The Wexford bridge was built in 1794. It rains in Bergen. Cats sleep a lot."
    asked = [{"role": "user", "content": f"{context} When was the Wexford bridge built?"}]
    assert "1794" in text_of(call(Simulator(), kind, messages=asked))


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_system_prompt_is_read(kind: str) -> None:
    """What the system prompt says can be answered from."""
    fact = "The secret ingredient of the soup is nutmeg."
    asked: Any = [{"role": "user", "content": "What is the secret ingredient of the soup?"}]
    if kind == "openai":
        answer = call(Simulator(), kind, messages=[{"role": "system", "content": fact}, *asked])
    else:
        answer = call(Simulator(), kind, messages=asked, system=fact)
    assert "nutmeg" in text_of(answer)


@CLIENTS
def test_the_words_depend_on_seed_and_request_alone(kind: str) -> None:
    """The same seed and request have the same words, in any order; another seed has others."""
    asked = [[{"role": "user", "content": f"Question {n}: what is a token bucket?"}] for n in range(3)]
    one, two, other = Simulator(seed=1), Simulator(seed=1), Simulator(seed=2)
    forward = [text_of(call(one, kind, messages=m)) for m in asked]
    backward = [text_of(call(two, kind, messages=m)) for m in reversed(asked)]
    assert forward == backward[::-1]
    assert forward != [text_of(call(other, kind, messages=m)) for m in asked]


@CLIENTS
@pytest.mark.parametrize("limit", [{}, {"max_tokens": 9}])
def test_a_stream_says_what_the_whole_answer_says(kind: str, limit: dict[str, Any]) -> None:
    """Streamed or not, the same request has the same words."""
    sim = Simulator(seed=3)
    assert streamed_text(streamed(sim, kind, **limit)) == text_of(call(sim, kind, **limit)) != ""


@CLIENTS
def test_characters_split_between_chunks_come_out_right(kind: str) -> None:
    """Chunks that end inside multi-byte characters are put together by the SDK."""
    text = "Zürich – 日本語 🙂 naïve"
    sim = Simulator(script=text, faults=Faults(split_characters=True))
    assert streamed_text(streamed(sim, kind)) == text


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("The same.", ["The same."] * 3),
        (["One.", "Two.", "Three."], ["One.", "Two.", "Three."]),
        ({"Who": "Nobody.", "jitter": "Because."}, ["Because."] * 3),
        (lambda request: f"{len(request.messages)} message", ["1 message"] * 3),
    ],
)
def test_a_script_says_what_is_said(script: Any, said: list[str]) -> None:
    """A text, a sequence, a mapping from a part of the prompt, or a function takes the place of the words."""
    sim = Simulator(script=script)
    assert [text_of(call(sim, "openai")) for _ in range(3)] == said


@pytest.mark.parametrize("script", [{"nothing": "x"}, lambda request: None])
def test_where_a_script_says_nothing_the_model_speaks(script: Any) -> None:
    """A mapping without a match, or a function that returns None, leaves the answer to the model."""
    assert text_of(call(Simulator(script=script), "openai")) == text_of(call(Simulator(), "openai"))


def raising(request: Any) -> str:
    """A script with a mistake."""
    raise KeyError(request.model)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ([], "the script has 0 answers, and request 1 came"),
        (raising, r"the simulator's script raised KeyError\('gpt-4o'\)"),
        (lambda request: 3, "a script answers by a text, a list of ToolCall, or a Reply, got 3"),
        ("half \ud83d", "half a surrogate pair"),
    ],
)
def test_a_mistake_in_a_script_is_told(script: Any, complaint: str) -> None:
    """A script that raises, ends or says what cannot be sent is a 400 that says so: no retry hides it."""
    with pytest.raises(openai.BadRequestError, match=complaint):
        call(Simulator(script=script), "openai", client={"max_retries": 2})


def test_a_script_may_look_at_the_log() -> None:
    """A function that answers may depend on what happened so far."""
    sim: Simulator = Simulator(script=lambda request: f"{len(sim.log)} so far")
    assert [text_of(call(sim, "openai")) for _ in range(2)] == ["1 so far", "2 so far"]


# -- length and stops ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_max_tokens_ends_the_answer(kind: str) -> None:
    """The limit cuts the answer, and usage and stop reason say so; one that is not reached does not."""
    sim = Simulator(script="one two three four five")
    cut, whole = call(sim, kind, max_tokens=3), call(sim, kind, max_tokens=5)
    assert (text_of(cut), text_of(whole)) == ("one two three", "one two three four five")
    if kind == "openai":
        assert (cut.choices[0].finish_reason, whole.choices[0].finish_reason) == ("length", "stop")
        assert (cut.usage.completion_tokens, whole.usage.completion_tokens) == (3, 5)
        assert cut.usage.total_tokens == cut.usage.prompt_tokens + 3
    else:
        assert (cut.stop_reason, whole.stop_reason) == ("max_tokens", "end_turn")
        assert (cut.usage.output_tokens, whole.usage.output_tokens) == (3, 5)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_stop_sequence_ends_the_answer(kind: str) -> None:
    """The first stop sequence in the text ends it before itself; Anthropic says which it was."""
    sim = Simulator(script="one two three four five")
    options: dict[str, Any] = {"stop" if kind == "openai" else "stop_sequences": ["four", " three"]}
    answer = call(sim, kind, **options)
    assert text_of(answer) == "one two"
    if kind == "openai":
        assert answer.choices[0].finish_reason == "stop"
    else:
        assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", " three")
    *_, last = streamed(sim, kind, **options)
    if kind == "openai":
        assert last.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("text", ["🙃🙃 日本語 é", "👩\u200d👩\u200d👧!", "plain"])
def test_usage_and_log_count_the_tokens_of_the_text(kind: str, text: str) -> None:
    """What was sent late, since it ends inside a character, is counted by usage and log all the same."""
    sim = Simulator(script=text)
    usage = call(sim, kind).usage
    assert (usage.completion_tokens if kind == "openai" else usage.output_tokens) == count(text)
    assert streamed_text(streamed(sim, kind)) == text
    assert [len(record.tokens) for record in sim.log] == [count(text)] * 2


def test_the_models_own_words_are_counted_as_they_stand() -> None:
    """The first sentence of an answer has no space before it, which may be a token."""
    asked = [
        {"role": "user", "content": "1794 is the year of the Wexford bridge. When was the Wexford bridge?"}
    ]
    answer = call(Simulator(), "openai", messages=asked)
    assert text_of(answer).startswith("1794 ")
    assert answer.usage.completion_tokens == count(text_of(answer))


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_the_arguments_of_a_call_may_end_inside_a_character(kind: str) -> None:
    """Fragments of arguments are never empty, and joined they are the arguments."""
    wanted = ToolCall(id="", name="get_time", arguments='{"zone":"🙃👩\u200d👧日"}')
    sim = Simulator(script=[[wanted]])
    events = streamed(sim, kind, tools=TOOLS if kind == "openai" else CLAUDE_TOOLS)
    if kind == "openai":
        deltas = [event.choices[0].delta.tool_calls for event in events if event.choices]
        fragments = [calls[0].function.arguments for calls in deltas if calls][1:]
    else:
        deltas = [event.delta for event in events if event.type == "content_block_delta"]
        fragments = [delta.partial_json for delta in deltas]
    assert all(fragments)
    assert "".join(fragments) == wanted.arguments
    assert sim.log[0].output_tokens == 1 + count(wanted.arguments)


def test_n_choices_differ_and_are_counted() -> None:
    """With n choices each has words of its own, streamed as well, and the usage counts them all."""
    sim = Simulator()
    whole = call(sim, "openai", n=3)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    texts = [choice.message.content for choice in whole.choices]
    assert len(set(texts)) == 3
    events = streamed(sim, "openai", n=3, stream_options={"include_usage": True})
    assert [streamed_text(events, index) for index in range(3)] == texts
    assert events[-1].usage == whole.usage
    assert sim.log[0].output_tokens == sim.log[1].output_tokens == whole.usage.completion_tokens


def test_a_long_answer_may_be_longer_than_what_is_known() -> None:
    """A model that writes thousands of tokens repeats itself, and counts right."""
    model = ModelProfile(name="m", provider="openai", answer_tokens=Latency(mean=9_000))
    answer = call(Simulator(models=[model]), "openai", model="m")
    assert 9_000 <= answer.usage.completion_tokens == count(answer.choices[0].message.content) < 9_100


def test_a_prompt_without_a_user_is_answered() -> None:
    """A system prompt alone is a question, too."""
    prompt = [{"role": "system", "content": "Explain why jitter helps."}]
    assert "jitter" in text_of(call(Simulator(), "openai", messages=prompt)).lower()


def test_an_empty_answer_is_an_answer() -> None:
    """A script may say nothing at all: no tokens, no blocks, and a proper end."""
    sim = Simulator(script="")
    assert call(sim, "openai").choices[0].message.content == ""
    assert call(sim, "anthropic").content == []
    assert streamed_text(streamed(sim, "openai")) == ""
    assert [event.type for event in streamed(sim, "anthropic")][-1] == "message_stop"
    assert {record.output_tokens for record in sim.log} == {0}


# -- tools ---------------------------------------------------------------------------------------------


def calls_of(answer: Any) -> dict[str, Any]:
    """The tool calls of an answer: names and arguments."""
    if isinstance(answer, ChatCompletion):
        calls = answer.choices[0].message.tool_calls or []
        return {c.function.name: json.loads(c.function.arguments) for c in calls if c.type == "function"}
    return {block.name: block.input for block in answer.content if block.type == "tool_use"}


def named(kind: str, name: str) -> Any:
    """The form of tool_choice that demands one tool."""
    if kind == "anthropic":
        return {"type": "tool", "name": name}
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_tools_are_called_with_arguments_that_fit(kind: str) -> None:
    """Tools that share words with the question are called, in parallel, by arguments that fit."""
    tools = TOOLS if kind == "openai" else CLAUDE_TOOLS
    for seed in range(20):
        answer = call(Simulator(seed=seed), kind, messages=BOTH, tools=tools)
        calls = calls_of(answer)
        assert set(calls) == {"get_weather", "get_time"}
        for name, arguments in calls.items():
            jsonschema.validate(arguments, SCHEMAS[name])
        assert calls["get_weather"]["city"] == "Zürich"
        assert calls["get_weather"]["days"] == 3
    ended = answer.choices[0].finish_reason if kind == "openai" else answer.stop_reason
    assert ended == ("tool_calls" if kind == "openai" else "tool_use")


@pytest.mark.parametrize(
    ("kind", "messages", "choice", "called"),
    [
        ("openai", NEITHER, "auto", set()),
        ("openai", BOTH, "none", set()),
        ("openai", NEITHER, named("openai", "get_time"), {"get_time"}),
        ("anthropic", NEITHER, {"type": "auto"}, set()),
        ("anthropic", BOTH, {"type": "none"}, set()),
        ("anthropic", NEITHER, named("anthropic", "get_time"), {"get_time"}),
        ("anthropic", BOTH, {"type": "auto", "disable_parallel_tool_use": True}, {"get_weather"}),
    ],
)
def test_tool_choice_is_obeyed(kind: str, messages: Any, choice: Any, called: set[str]) -> None:
    """Auto, none, a name, and one at a time: each form of the choice."""
    tools = TOOLS if kind == "openai" else CLAUDE_TOOLS
    answer = call(Simulator(), kind, messages=messages, tools=tools, tool_choice=choice)
    assert set(calls_of(answer)) == called


@pytest.mark.parametrize(("kind", "choice"), [("openai", "required"), ("anthropic", {"type": "any"})])
def test_a_call_may_be_demanded(kind: str, choice: Any) -> None:
    """Where a call is demanded, some tool is called whatever the question is."""
    tools = TOOLS if kind == "openai" else CLAUDE_TOOLS
    assert calls_of(call(Simulator(), kind, messages=NEITHER, tools=tools, tool_choice=choice))


def test_one_call_at_a_time() -> None:
    """With parallel_tool_calls off there is one call at most."""
    assert (
        len(calls_of(call(Simulator(), "openai", messages=BOTH, tools=TOOLS, parallel_tool_calls=False))) == 1
    )


def test_a_choice_that_is_none_of_the_tools_is_refused() -> None:
    """A tool_choice that names no tool is a 400."""
    with pytest.raises(openai.BadRequestError, match="names none of the tools"):
        call(Simulator(), "openai", tools=TOOLS, tool_choice=named("openai", "other"))


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_after_the_results_it_answers(kind: str) -> None:
    """Given the tool's result the model says it, instead of calling again."""
    tools = TOOLS if kind == "openai" else CLAUDE_TOOLS
    sim = Simulator()
    first = call(sim, kind, messages=BOTH, tools=tools, tool_choice=named(kind, "get_weather"))
    if kind == "openai":
        turn = first.choices[0].message
        result = {"role": "tool", "tool_call_id": turn.tool_calls[0].id, "content": "14 °C and rain"}
        history = [*BOTH, turn.model_dump(exclude_none=True), result]
    else:
        (block,) = first.content
        result = {"type": "tool_result", "tool_use_id": block.id, "content": "14 °C and rain"}
        turns = [
            {"role": "assistant", "content": [block.model_dump()]},
            {"role": "user", "content": [result]},
        ]
        history = [*BOTH, *turns]
    answer = call(sim, kind, messages=history, tools=tools)
    assert not calls_of(answer)
    assert "14 °C and rain" in text_of(answer)


def test_arguments_are_streamed_in_fragments() -> None:
    """A streamed call comes in pieces: its id and name once, its arguments bit by bit."""
    events = streamed(Simulator(), "openai", messages=BOTH, tools=TOOLS)
    deltas = [d for e in events for c in e.choices for d in c.delta.tool_calls or []]
    for index, name in enumerate(("get_weather", "get_time")):
        own = [delta for delta in deltas if delta.index == index]
        assert own[0].function.name == name
        assert own[0].id.startswith("call_")
        assert all(delta.id is None and delta.function.name is None for delta in own[1:])
        assert len(own) > 5
        jsonschema.validate(json.loads("".join(d.function.arguments for d in own)), SCHEMAS[name])


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_max_tokens_may_cut_a_call(kind: str) -> None:
    """Wherever the limit falls among calls, what comes is a part of them, streamed as well."""
    calls = [ToolCall(id=f"{n}", name="f", arguments='{"a": "b c d"}') for n in range(2)]
    whole = call(Simulator(script=lambda request: calls), kind)
    size = (whole.usage.completion_tokens if kind == "openai" else whole.usage.output_tokens) // 2
    for limit in range(1, 2 * size):
        sim = Simulator(script=lambda request: calls)
        answer = call(sim, kind, max_tokens=limit)
        assert len(calls_or_parts(answer)) == (1 if limit <= size else 2)
        assert (answer.choices[0].finish_reason if kind == "openai" else answer.stop_reason) in (
            "length",
            "max_tokens",
        )
        streamed(sim, kind, max_tokens=limit)
        assert [record.output_tokens for record in sim.log] == [limit] * 2


def calls_or_parts(answer: Any) -> Any:
    """The calls of an answer, whole or cut."""
    return answer.choices[0].message.tool_calls if hasattr(answer, "choices") else answer.content


def test_a_script_may_call_tools() -> None:
    """A script's own calls are sent as they are, invalid arguments included; missing ids are made."""
    sim = Simulator(script=lambda request: [ToolCall(id="", name="f", arguments='{"a": ')])
    (found,) = call(sim, "openai").choices[0].message.tool_calls
    assert (found.function.name, found.function.arguments) == ("f", '{"a": ')
    assert found.id.startswith("call_")
    (block,) = call(sim, "anthropic").content
    assert (block.name, block.input) == ("f", {})


# -- structured output ---------------------------------------------------------------------------------


def test_openai_parses_a_model() -> None:
    """`chat.completions.parse` gives an instance of the Pydantic model."""

    async def main() -> Any:
        client = Simulator().openai()
        return await client.chat.completions.parse(model=GPT, messages=MESSAGES, response_format=Plan)

    assert isinstance(run(main).choices[0].message.parsed, Plan)


def test_anthropic_parses_a_model() -> None:
    """`messages.parse` gives an instance of the Pydantic model."""

    async def main() -> Any:
        client = Simulator().anthropic()
        return await client.messages.parse(
            model=CLAUDE, messages=MESSAGES, max_tokens=500, output_format=Plan
        )

    assert isinstance(run(main).parsed_output, Plan)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_an_answer_satisfies_the_schema_asked_for(kind: str) -> None:
    """Both forms of structured output give JSON that is valid to the schema."""
    wanted = {"type": "json_schema", "schema": WEATHER}
    options: dict[str, Any] = {"output_config": {"format": wanted}}
    if kind == "openai":
        options = {
            "response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}
        }
    for seed in range(10):
        jsonschema.validate(json.loads(text_of(call(Simulator(seed=seed), kind, **options))), WEATHER)


def test_json_mode_gives_an_object() -> None:
    """`json_object` gives some object with the answer in it."""
    answer = json.loads(text_of(call(Simulator(), "openai", response_format={"type": "json_object"})))
    assert "jitter" in answer["answer"].lower()


# -- the SDKs' helpers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"tools": TOOLS, "messages": BOTH}, {"n": 2}, {"max_tokens": 7}, {"stop": ["jitter"]}],
    ids=["text", "tools", "n", "length", "stop"],
)
def test_openais_stream_helper_ends_with_the_whole_answer(options: dict[str, Any]) -> None:
    """What `chat.completions.stream` accumulates is what the unstreamed call returns."""
    sim = Simulator()
    whole = call(sim, "openai", **options)

    async def main() -> Any:
        asked = {"model": GPT, "messages": MESSAGES, "stream_options": {"include_usage": True}, **options}
        async with sim.openai().chat.completions.stream(**asked) as stream:
            async for _ in stream:
                pass
            return stream._state.current_completion_snapshot

    assert plain(run(main).model_dump()) == plain(whole.model_dump())


@pytest.mark.parametrize(
    "options",
    [{}, {"tools": CLAUDE_TOOLS, "messages": BOTH}, {"max_tokens": 7}, {"stop_sequences": ["jitter"]}],
    ids=["text", "tools", "length", "stop"],
)
def test_anthropics_stream_helper_ends_with_the_whole_answer(options: dict[str, Any]) -> None:
    """What `messages.stream` accumulates is what the unstreamed call returns."""
    sim = Simulator()
    whole = call(sim, "anthropic", **options)

    async def main() -> Any:
        asked = {"model": CLAUDE, "messages": MESSAGES, "max_tokens": 400, **options}
        async with sim.anthropic().messages.stream(**asked) as stream:
            return await stream.get_final_message()

    assert plain(run(main).model_dump()) == plain(whole.model_dump())


@CLIENTS
def test_each_answer_has_a_request_id(kind: str) -> None:
    """The SDK finds the request's id where it looks for it, and the log has the same."""
    sim = Simulator()
    answers = [call(sim, kind) for _ in range(2)]
    assert [answer._request_id for answer in answers] == [record.request_id for record in sim.log]
    assert answers[0]._request_id != answers[1]._request_id


# -- errors --------------------------------------------------------------------------------------------

TOO_LONG: Any = [{"role": "user", "content": "x" * 2_000}]


@pytest.mark.parametrize(
    ("kind", "settings", "options", "error", "status"),
    [
        ("openai", {"keys": ["good"]}, {}, openai.AuthenticationError, 401),
        ("openai", {}, {"temperature": 9}, openai.BadRequestError, 400),
        ("openai", {}, {"model": "gpt-0"}, openai.NotFoundError, 404),
        ("openai", {"max_body_bytes": 1_000}, {"messages": TOO_LONG}, openai.APIStatusError, 413),
        ("openai", {"limits": RateLimits(tokens=5)}, {}, openai.RateLimitError, 429),
        ("openai", {"faults": Faults(error_rate=1)}, {}, openai.InternalServerError, 500),
        ("openai", {"faults": Faults(overload_rate=1)}, {}, openai.InternalServerError, 503),
        ("anthropic", {"keys": ["good"]}, {}, anthropic.AuthenticationError, 401),
        ("anthropic", {}, {"extra_body": {"temperature": 9}}, anthropic.BadRequestError, 400),
        ("anthropic", {}, {"model": "claude-0"}, anthropic.NotFoundError, 404),
        ("anthropic", {"max_body_bytes": 1_000}, {"messages": TOO_LONG}, anthropic.RequestTooLargeError, 413),
        ("anthropic", {"limits": RateLimits(input_tokens=5)}, {}, anthropic.RateLimitError, 429),
        ("anthropic", {"faults": Faults(error_rate=1)}, {}, anthropic.InternalServerError, 500),
        ("anthropic", {"faults": Faults(overload_rate=1)}, {}, anthropic.OverloadedError, 529),
    ],
)
@pytest.mark.parametrize("way", ["", "_sync", "stream"])
def test_each_status_is_the_sdks_own_exception(
    kind: str, settings: dict[str, Any], options: dict[str, Any], error: Any, status: int, way: str
) -> None:
    """Every error has its status and the class that the SDK has for it, streamed or not, async or sync."""
    sim = Simulator(**settings)
    if way == "stream":
        options = {**options, "stream": True}
    with pytest.raises(error) as caught:
        call(sim, kind + way.replace("stream", ""), **options)
    assert caught.value.status_code == status
    assert caught.value.request_id == sim.log[0].request_id
    assert sim.log[0].status == status
    assert sim.log[0].outcome == ("failed" if status >= 500 else "rejected")
    assert sim.log[0].duration == pytest.approx(0.02)


def test_the_bodies_of_errors_are_each_providers_own() -> None:
    """OpenAI has message, type, param and code; Anthropic a typed error and the request's id."""
    with pytest.raises(openai.NotFoundError) as theirs:
        call(Simulator(), "openai", model="gpt-0")
    assert isinstance(theirs.value.body, dict)
    assert set(theirs.value.body) == {"message", "type", "param", "code"}
    assert theirs.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError) as ours:
        call(Simulator(), "anthropic", model="claude-0")
    assert isinstance(ours.value.body, dict)
    assert ours.value.body["type"] == "error"
    assert ours.value.body["error"]["type"] == "not_found_error"
    assert ours.value.body["request_id"] == ours.value.request_id


@pytest.mark.parametrize("kind", ["openai", "openai_sync", "anthropic", "anthropic_sync"])
@pytest.mark.parametrize("fault", ["refuse_rate", "reset_rate"])
def test_a_connection_that_fails_is_a_connection_error(kind: str, fault: str) -> None:
    """Refused or reset, the SDK raises its APIConnectionError, and no status is logged."""
    sim = Simulator(faults=Faults.model_validate({fault: 1}))
    error = openai.APIConnectionError if "openai" in kind else anthropic.APIConnectionError
    with pytest.raises(error):
        call(sim, kind)
    assert (sim.log[0].status, sim.log[0].outcome) == (None, "broken")
    assert sim.log[0].error == fault.removesuffix("_rate") + ("d" if "refuse" in fault else "")


@pytest.mark.parametrize(
    ("kind", "fault", "error"),
    [
        ("openai", "disconnect_rate", openai.APIConnectionError),
        ("anthropic", "disconnect_rate", httpx2.RemoteProtocolError),
        ("openai", "malformed_rate", json.JSONDecodeError),
        ("anthropic", "malformed_rate", json.JSONDecodeError),
    ],
)
@pytest.mark.parametrize("way", ["", "_sync"])
def test_a_stream_that_breaks_raises_what_the_sdk_raises(kind: str, fault: str, error: Any, way: str) -> None:
    """Disconnected or malformed in the middle: each SDK's own behaviour, and the log says what it was."""
    sim = Simulator(faults=Faults.model_validate({fault: 1}))
    with pytest.raises(error):
        streamed(sim, kind + way)
    assert sim.log[0].status == 200
    assert sim.log[0].outcome == "broken"
    assert sim.log[0].error == {"disconnect_rate": "disconnected", "malformed_rate": "malformed"}[fault]


def test_the_sdks_own_retries_wait_as_they_are_told() -> None:
    """After a 429 the SDK waits for retry-after, to the millisecond, and then passes."""
    sim = Simulator(limits=RateLimits(requests=1), script="yes")

    async def main() -> list[float]:
        client = sim.openai(max_retries=1)
        for _ in range(2):
            await client.chat.completions.create(model=GPT, messages=MESSAGES)
        return [record.arrival for record in sim.log]

    first, refused, third = run(main)
    assert first == 0
    assert third == pytest.approx(60.02, abs=0.002)
    assert [record.status for record in sim.log] == [200, 429, 200]
    assert third - refused == pytest.approx(60.02 - refused, abs=0.002)


# -- models and settings -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_models_differ(kind: str) -> None:
    """Small models are faster and cheaper than large ones, by provider."""

    def seconds(model: str) -> float:
        sim = Simulator(script="word " * 100)
        call(sim, kind, model=model)
        return sim.log[0].duration

    current = (m for m in CATALOG if m.provider == kind and m.dimensions is None and m.retires is None)
    own = sorted(current, key=lambda m: m.output_price)
    assert seconds(own[0].name) * 2 < seconds(own[-1].name)
    assert own[0].output_price * 10 < own[-1].output_price
    assert len({(m.provider, m.name) for m in CATALOG}) == len(CATALOG)


def test_a_longer_prompt_takes_longer() -> None:
    """The time to first token grows with the prompt, as it is read at a rate."""
    model = ModelProfile(name="m", provider="openai", ttft=Latency(mean=0.1), prefill_tokens_per_second=100)
    sim = Simulator(models=[model], script="ok")
    for words in (100, 200):
        call(sim, "openai", model="m", messages=[{"role": "user", "content": "word " * words}])
    short, long = sim.log
    assert short.first_token is not None
    assert long.first_token is not None
    assert long.first_token - long.arrival - short.first_token == pytest.approx(1, abs=0.01)


def test_load_makes_a_queue() -> None:
    """As demand grows beyond the places, so does the time to first token."""

    def mean_queue(clients: int) -> float:
        sim = Simulator(slots=4)

        async def main() -> None:
            client = sim.openai()
            ask: Callable[[], Awaitable[Any]] = lambda: client.chat.completions.create(  # noqa: E731
                model=GPT, messages=MESSAGES
            )
            await asyncio.gather(*(ask() for _ in range(clients)))

        run(main)
        return sum(record.queued for record in sim.log) / clients

    assert mean_queue(4) == 0
    assert 0 < mean_queue(8) < mean_queue(32)


@pytest.mark.parametrize("shape", ["lognormal", "gamma"])
def test_latencies_have_their_mean_and_spread(shape: Any) -> None:
    """A distribution is given by its mean and coefficient of variation, and keeps to both."""
    latency = Latency(mean=2.0, cv=0.5, shape=shape)
    rng = random.Random(1)
    draws = [latency.draw(rng) for _ in range(20_000)]
    mean = sum(draws) / len(draws)
    spread = (sum((x - mean) ** 2 for x in draws) / len(draws)) ** 0.5
    assert mean == pytest.approx(2.0, rel=0.02)
    assert spread / mean == pytest.approx(0.5, rel=0.05)
    assert Latency(mean=3.0).draw(rng) == 3.0


@pytest.mark.parametrize(("origin", "count"), [(0, 1), (10, 50), (4_090, 20), (4_095, 9_000)])
def test_the_ring_of_gaps_goes_round(origin: int, count: int) -> None:
    """From any gap on, over the ring's end too, the times add up one gap at a time."""
    gaps = Gaps(Latency(mean=1.0, cv=0.5), "seed")
    single = [gaps.span((origin + n) % Gaps.SIZE, 2) for n in range(count - 1)]
    times = gaps.times(origin, count)
    assert times[0] == 0
    assert times[-1] == pytest.approx(sum(single))
    assert gaps.span(origin, count) == pytest.approx(times[-1])


@pytest.mark.parametrize("options", [{"edge_latency": 0}, {"edge_latency": -1}, {"slots": 0}])
def test_wrong_settings_are_refused(options: dict[str, Any]) -> None:
    """A simulator that cannot be is not made, and the message names the setting."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Simulator(**options)


def test_a_model_may_be_replaced_and_limits_set_for_all() -> None:
    """A profile of the same name replaces the built-in one; limits and slots hold for every model."""
    own = ModelProfile(name=GPT, provider="openai", ttft=Latency(mean=9))
    sim = Simulator(models=[own], limits=RateLimits(requests=2), script="ok")
    assert call(sim, "openai").choices[0].message.content == "ok"
    assert sim.log[0].duration > 9
    call(sim, "openai")
    with pytest.raises(openai.RateLimitError):
        call(sim, "openai")


def test_outages_are_on_the_simulators_own_timeline() -> None:
    """Each run starts a clock at 0, and the simulator's time goes on: an outage comes when it comes."""
    sim = Simulator(faults=Faults(outages=(Outage(start=5, end=6),)), script="ok")
    call(sim, "openai")

    async def later() -> float:
        await asyncio.sleep(5.5 - sim.now())
        with pytest.raises(openai.InternalServerError):
            await sim.openai(max_retries=0).chat.completions.create(model=GPT, messages=MESSAGES)
        return now()

    assert run(later) < 5.5
    assert sim.log[-1].arrival == pytest.approx(5.5)


@pytest.mark.parametrize("kind", ["openai", "anthropic", "openai_sync", "anthropic_sync"])
def test_clients_take_the_sdks_own_options(kind: str) -> None:
    """The clients are the SDKs' own, with their default timeout, and take their options."""
    client = getattr(Simulator(), kind)(max_retries=5)
    sdk: Any = openai if "openai" in kind else anthropic
    assert type(client).__module__.startswith(sdk.__name__)
    assert (client.max_retries, client.timeout) == (5, sdk.DEFAULT_TIMEOUT)
    assert getattr(Simulator(), kind)(timeout=3).timeout == 3


def test_the_log_does_not_tell_the_future() -> None:
    """What is in flight is said to be so: its tokens end at the instant at which the log is read."""
    sim = Simulator(seed=1)

    async def main() -> None:
        ask = sim.openai().chat.completions.create
        stream = await ask(model="gpt-5.5", messages=[{"role": "user", "content": "hi"}], stream=True)
        async for _ in stream:
            break
        (record,) = sim.log
        assert record.outcome == "in flight"
        assert record.ended == pytest.approx(now())
        assert record.tokens[-1] <= record.ended
        async for _ in stream:
            pass
        assert sim.log[0].outcome == "ok"
        assert len(sim.log[0].tokens) > len(record.tokens)

    run(main)


@pytest.mark.parametrize(
    "options",
    [{"faults": 0.5}, {"limits": 60}, {"models": ["gpt-5.5"]}, {"script": 5}, {"keys": "one"}],
    ids=str,
)
def test_wrong_settings_are_refused_at_once(options: dict[str, Any]) -> None:
    """A setting of the wrong kind is a ConfigurationError that names it, before any request."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Simulator(**options)


def test_a_thread_of_nobodys_is_refused() -> None:
    """A thread that is not on the virtual clock gets an error instead of real time in the log."""

    asked: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    async def main() -> None:
        client = Simulator(seed=1).openai_sync(max_retries=0)
        ask = functools.partial(client.chat.completions.create, model="gpt-5.5")
        asked.put(functools.partial(ask, messages=[{"role": "user", "content": "hi"}]))
        await asyncio.wrap_future(answer)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: asked.get()())  # before there is a clock
        with pytest.raises(RuntimeError, match=r"asyncio\.to_thread"):
            run(main)

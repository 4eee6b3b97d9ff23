"""What Anthropic's API refuses beyond the form of a request, and where its cache may cut a prompt."""

import copy
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.wire.anthropic import MESSAGES
from workbench.wire.anthropic_request import decode_prompt
from workbench.wire.dialect import Call, Prefix, WireError
from workbench.wire.signature import is_signed, sign

TEXT = {"type": "text", "text": "Hm?"}
THOUGHT = {"type": "thinking", "thinking": "Let me see.", "signature": sign("Let me see.")}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "D."}}
CITED = {**DOCUMENT, "citations": {"enabled": True}}
THINKING = {"type": "enabled", "budget_tokens": 1024}
FUNCTION = {"name": "f", "input_schema": {"type": "object"}}
SHORT, LONG = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}


def use(identity: str) -> dict[str, Any]:
    """A call."""
    return {"type": "tool_use", "id": identity, "name": "f", "input": {}}


def result(identity: str) -> dict[str, Any]:
    """Its result."""
    return {"type": "tool_result", "tool_use_id": identity, "content": "1"}


def decode(*contents: Any, **fields: Any) -> Call:
    """A request in which user and assistant take turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]
    return MESSAGES.decode({"model": "m", "max_tokens": 9000, "messages": messages, **fields})


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        pytest.param(
            [[TEXT], [use("a"), use("b")], [result("a"), TEXT]],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b. Each",
            id="one result missing",
        ),
        pytest.param(
            [[TEXT], [use("a")]],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a. Each",
            id="nothing after",
        ),
        pytest.param(
            [[TEXT], [TEXT], [TEXT, result("a")]],
            "messages.2.content.1: unexpected `tool_use_id` found in `tool_result` blocks: a. Each",
            id="no call",
        ),
        pytest.param(
            [[result("a")]],
            "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a. Each",
            id="nothing before",
        ),
        pytest.param(
            [[TEXT], [use("a")], [result("a")], [TEXT], [result("a")]],
            "messages.4.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a. Each",
            id="too late",
        ),
        pytest.param(
            [[TEXT], [use("a")], [result("a"), result("a")]],
            "messages.2.content.1: each tool_use must have a single result. Found multiple",
            id="two results",
        ),
        pytest.param(
            [[TEXT], [use("a"), use("a")], [result("a")]],
            "messages.1: `tool_use` ids must be unique",
            id="two calls",
        ),
        pytest.param(
            [[TEXT], [{**THOUGHT, "thinking": "Let me be."}, TEXT]],
            "messages.1.content.0: Invalid `signature` in `thinking` block",
            id="changed thought",
        ),
        pytest.param(
            [[DOCUMENT, CITED, TEXT]],
            "messages: Citations must be enabled on all or none of the documents.",
            id="some cited",
        ),
    ],
)
def test_the_conversation_is_refused_in_the_apis_words(contents: list[Any], complaint: str) -> None:
    """Calls and results belong together, thoughts are unchanged, and documents are cited or are not."""
    with pytest.raises(WireError) as caught:
        decode(*contents)
    assert caught.value.message.startswith(complaint)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (
            {"thinking": {"type": "enabled", "budget_tokens": 9}},
            "thinking.enabled.budget_tokens: Input should",
        ),
        ({"thinking": {**THINKING, "budget_tokens": 9000}}, "`max_tokens` must be greater than `thinking."),
        ({"thinking": THINKING, "temperature": 0.5}, "`temperature` may only be set to 1 when thinking is"),
        ({"thinking": THINKING, "tools": [FUNCTION], "tool_choice": {"type": "any"}}, "Thinking may not be"),
        ({"tools": [FUNCTION, FUNCTION]}, "tools: Tool names must be unique."),
        ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{"type": "bash"}]}, "tools.0.server.type: String should match pattern"),
        ({"messages": [{"role": "system", "content": "S"}]}, "messages.0.role: a system message must follow"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
            "output_config.format: Citations cannot be combined with structured outputs.",
        ),
        ({"cache_control": {"type": "forever"}}, "cache_control.type: Input should be 'ephemeral'"),
    ],
)
def test_settings_are_refused_in_the_apis_words(fields: dict[str, Any], complaint: str) -> None:
    """Settings that contradict each other, or are none, are refused."""
    with pytest.raises(WireError) as caught:
        decode([CITED, TEXT], **fields)
    assert caught.value.message.startswith(complaint)


def test_a_loop_goes_on_where_its_thoughts_were() -> None:
    """With a budget, the answer before the last results begins with a thought; without one it need not."""
    decode([TEXT], [THOUGHT, use("a")], [result("a")], thinking=THINKING)
    decode([TEXT], [{"type": "redacted_thinking", "data": "x"}, use("a")], [result("a")], thinking=THINKING)
    decode([TEXT], [use("a")], [result("a")], thinking={"type": "adaptive"})
    decode([TEXT], [TEXT], [TEXT], thinking=THINKING)
    with pytest.raises(WireError) as caught:
        decode([TEXT], [use("a")], [result("a")], thinking=THINKING)
    complaint = "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."
    assert caught.value.message.startswith(complaint)


def test_messages_of_one_role_are_one_turn() -> None:
    """Calls may stand in two messages in a row, and so may their results; the system may say something."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": [use("a")]},
        {"role": "assistant", "content": [use("b")]},
        {"role": "user", "content": [result("b")]},
        {"role": "system", "content": "Soon."},
        {"role": "user", "content": [result("a")]},
    ]
    assert len(decode(messages=messages).request.messages) == 6


def test_what_is_counted_needs_no_limit() -> None:
    """The tokens of a prompt with a budget are counted, though no answer is asked for."""
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}], "thinking": THINKING}
    assert decode_prompt(body).thinking_tokens == 1024


@given(st.text(), st.text())
def test_only_what_was_thought_is_signed(thinking: str, other: str) -> None:
    """A signature is good under its own thoughts and where they are not shown, and under no others."""
    signature = sign(thinking)
    assert is_signed(thinking, signature)
    assert is_signed("", signature)
    assert is_signed(other, signature) == (other in ("", thinking))
    assert not is_signed(thinking, other)


# -- the cache ------------------------------------------------------------------------------------------


def blocks(count: int, **marks: Any) -> list[dict[str, Any]]:
    """Blocks of text; the keyword ``_3`` marks the fourth."""
    made: list[dict[str, Any]] = [{"type": "text", "text": f"Block {i}."} for i in range(count)]
    for name, mark in marks.items():
        made[int(name[1:])]["cache_control"] = mark
    return made


def kept(call: Call) -> list[float]:
    """How long each prefix is kept that is."""
    return [prefix.keep_seconds for prefix in call.prefixes if prefix.keep_seconds]


def test_nothing_is_cached_unasked() -> None:
    """Without a breakpoint there is no prefix."""
    assert decode(blocks(3)).prefixes == ()


def test_prefixes_grow_in_the_order_in_which_the_model_reads() -> None:
    """Tools come first, then the system prompt, then the messages; each prefix counts all before it."""
    tools = [{**FUNCTION, "cache_control": LONG}]
    system = [{**TEXT, "cache_control": LONG}]
    call = decode(blocks(2, _1=SHORT), tools=tools, system=system)
    assert kept(call) == [3600, 3600, 300]
    tokens = [prefix.tokens for prefix in call.prefixes]
    assert tokens == sorted(set(tokens))
    assert len(tokens) == 4


def test_a_breakpoint_looks_back_twenty_blocks() -> None:
    """Prefixes that may have been kept before are looked for up to 20 blocks back."""
    call = decode(blocks(30, _29=SHORT))
    assert len(call.prefixes) == 20
    assert [p.keep_seconds for p in call.prefixes] == [0.0] * 19 + [300]


def test_the_last_block_is_marked_by_one_setting() -> None:
    """``cache_control`` of the request itself stands for a breakpoint behind its last block."""
    assert decode(blocks(3), cache_control=LONG).prefixes[-1].keep_seconds == 3600
    assert kept(decode(blocks(3, _2=SHORT), cache_control=LONG)) == [300]


def test_a_breakpoint_in_a_result_is_one_behind_it() -> None:
    """The blocks of a tool's result may be marked, too."""
    inner = {**result("a"), "content": [{**TEXT, "cache_control": LONG}]}
    assert kept(decode([TEXT], [use("a")], [inner])) == [3600]


def test_each_kind_of_block_has_its_length() -> None:
    """Texts, documents, search results, calls and results are counted; a picture and a thought are not."""
    source = {"type": "content", "content": "D."}
    found = {"type": "search_result", "title": "T", "source": "s", "content": [TEXT]}
    read = [TEXT, DOCUMENT, {**DOCUMENT, "source": source}, found]
    unread = [{"type": "image", "source": {}}, {**DOCUMENT, "source": {"type": "url", "url": "u"}}]
    call = decode([*read, *unread], [THOUGHT, use("a")], [result("a")], cache_control=SHORT)
    tokens = [prefix.tokens for prefix in call.prefixes]
    assert [after > before for before, after in pairwise([0, *tokens])] == [
        *(True for _ in read),
        *(False for _ in unread),
        True,  # a message begins
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({}, True, id="nothing"),
        pytest.param({"max_tokens": 5, "temperature": 0.5, "stream": True}, True, id="how it answers"),
        pytest.param({"system": "S"}, False, id="system"),
        pytest.param({"tools": [FUNCTION]}, False, id="tools"),
        pytest.param({"thinking": {"type": "adaptive"}}, False, id="thinking"),
        pytest.param({"tools": [FUNCTION], "tool_choice": {"type": "none"}}, False, id="choice"),
        pytest.param({"messages": [{"role": "user", "content": blocks(3, _1=LONG)}]}, True, id="marks"),
    ],
)
def test_a_prefix_is_what_the_model_reads(change: dict[str, Any], same: bool) -> None:
    """What changes what the model reads, or how, makes another prefix; where breakpoints stand does not."""
    first = {prefix.digest for prefix in decode(blocks(3, _1=SHORT)).prefixes}
    second = {prefix.digest for prefix in decode(blocks(3, _1=SHORT), **change).prefixes}
    assert bool(first & second) == same


def test_a_text_is_short_for_a_block() -> None:
    """A message of a plain text has the prefix of one with a single block."""
    assert decode("Hm?", cache_control=SHORT).prefixes == decode([TEXT], cache_control=SHORT).prefixes
    system = decode("Hm?", system="S", cache_control=SHORT)
    assert system.prefixes == decode("Hm?", system=[{**TEXT, "text": "S"}], cache_control=SHORT).prefixes


@given(st.lists(st.sampled_from([None, SHORT, LONG]), min_size=1, max_size=8))
def test_breakpoints_are_few_and_in_order(marks: list[Any]) -> None:
    """More than four are refused, and so is a long-lived one behind a short-lived one; others are kept."""
    content = blocks(len(marks), **{f"_{i}": mark for i, mark in enumerate(marks) if mark})
    lives = [3600.0 if mark == LONG else 300.0 for mark in marks if mark]
    before = copy.deepcopy(content)
    if lives == sorted(lives, reverse=True) and len(lives) <= 4:
        assert kept(decode(content)) == lives
    else:
        with pytest.raises(WireError, match=r"A maximum of 4 blocks|must not come after a ttl='5m'"):
            decode(content)
    assert content == before


def test_a_prefix_is_the_same_in_any_process() -> None:
    """Its digest depends on what stands before it, and on nothing else."""
    (prefix,) = decode([TEXT], cache_control=SHORT).prefixes
    assert prefix == Prefix("7bc5b955b7103f661ff9b4a4488cbeee", prefix.tokens, 300.0)

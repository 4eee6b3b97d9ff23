import json
from json import JSONDecoder

import pydantic_core

WEATHER = {"id": "call_a", "name": "get_weather", "arguments": {"city": "Zürich", "days": 3}}
TIME = {"id": "call_b", "name": "get_time", "arguments": {"zone": "Europe/Zurich"}}
PING = {"id": "call_c", "name": "ping", "arguments": {}}


def cut(call, size):
    """The pieces of a call's arguments, as a model says them: none where there are no parameters."""
    text = json.dumps(call["arguments"], ensure_ascii=False) if call["arguments"] else ""
    return [text[place : place + size] for place in range(0, len(text), size)]


def chunk(delta, finish=None):
    return {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def turns(calls, size, together):
    """(index, call, piece) in the order in which they are sent: call by call, or the calls in turn."""
    pieces = [["", *cut(call, size)] for call in calls]
    order = [(step, index) for index, each in enumerate(pieces) for step in range(len(each))]
    for step, index in sorted(order) if together else order:
        yield index, calls[index], pieces[index][step], step == 0


def openai(calls, size=7, *, together=False, repeat=False, text="Let me look."):
    yield chunk({"role": "assistant", "content": text or None})
    for index, call, piece, first in turns(calls, size, together):
        delta = {"index": index, "function": {"arguments": piece}}
        if first or repeat:
            delta |= {"id": call["id"], "type": "function"}
            delta["function"] = {"name": call["name"], "arguments": piece}
        yield chunk({"tool_calls": [delta]})
    yield chunk({}, "tool_calls")
    yield {"object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 9}}


def anthropic(calls, size=7):
    yield {"type": "message_start", "message": {"id": "msg_1", "content": [], "role": "assistant"}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me look."}}
    yield {"type": "content_block_stop", "index": 0}
    for index, call in enumerate(calls, start=1):
        block = {"type": "tool_use", "id": call["id"], "name": call["name"], "input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for piece in ["", *cut(call, size)]:
            delta = {"type": "input_json_delta", "partial_json": piece}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}
    yield {"type": "message_stop"}


async def result(task, lab, events):
    outcome = await lab.call(lambda: list(task(iter(list(events)))), steps=200_000)
    return outcome.error if outcome.error or outcome.hung else outcome.result


def told(got):
    return f"it raised {type(got).__name__}: {got}" if isinstance(got, BaseException) else f"it gave {got}"


async def check_one_call(task, lab):
    """A call whose arguments come at once is given."""
    function = {"name": WEATHER["name"], "arguments": json.dumps(WEATHER["arguments"])}
    whole = {"index": 0, "id": WEATHER["id"], "type": "function", "function": function}
    for deltas, wanted in (([{"content": "None."}], []), ([{"tool_calls": [whole]}], [WEATHER])):
        events = [*map(chunk, deltas), chunk({}, "stop")]
        outcome = await lab.call(lambda events=events: list(task(iter(events))), steps=200_000)
        lab.expect(outcome.value == wanted, None, f"of {len(wanted)} calls it gave {outcome.value}")


async def check_fragments(task, lab):
    """Fragments find their call by its index, in OpenAI's stream and in Anthropic's."""
    named = await result(task, lab, openai([WEATHER], repeat=True))
    got = await result(task, lab, openai([WEATHER]))
    by_id = named == [WEATHER] or (
        isinstance(named, list) and [each.get("id") for each in named] == ["call_a"]
    )
    count = len(cut(WEATHER, 7))
    evidence = f"1 call in {count} fragments, of which the first has the id: {told(got)}"
    lab.expect(got == [WEATHER], "keyed_by_id" if by_id else None, evidence)
    got = await result(task, lab, anthropic([WEATHER, TIME]))
    lab.expect(got == [WEATHER, TIME], None, f"Anthropic's stream of 2 calls: {told(got)}")


async def check_interleaved(task, lab):
    """Calls whose fragments come in turn stay apart."""
    for events, how in (
        (openai([WEATHER, TIME]), "one after the other"),
        (openai([WEATHER, TIME], together=True), "in turn"),
    ):
        got = await result(task, lab, events)
        mistake = "interleaved_mixed" if how == "in turn" else None
        if not lab.expect(
            got == [WEATHER, TIME], mistake, f"2 calls whose fragments come {how}: {told(got)}"
        ):
            return


async def check_name(task, lab):
    """A name that is repeated stays what it is."""
    got = await result(task, lab, openai([WEATHER], repeat=True))
    names = [str(each.get("name")) for each in got] if isinstance(got, list) else []
    twice = len(names) == 1 and names[0] != "get_weather" and not names[0].replace("get_weather", "")
    evidence = f"the name came with each of {1 + len(cut(WEATHER, 7))} fragments: {told(got)}"
    lab.expect(got == [WEATHER], "name_twice" if twice else None, evidence)


async def check_no_arguments(task, lab):
    """A call without arguments has an empty object of them."""
    for provider in (openai, anthropic):
        got = await result(task, lab, provider([PING]))
        evidence = f"{provider.__name__}'s call of a tool without parameters: {told(got)}"
        lab.expect(got == [PING], "empty_arguments", evidence)


async def check_work(task, lab):
    """Arguments are parsed once."""
    long = {"id": "call_a", "name": "write", "arguments": {"text": "word " * 200}}
    parsed = lab.spy(JSONDecoder, "raw_decode"), lab.spy(pydantic_core, "from_json")
    task = lab.load()
    got = await result(task, lab, openai([long], size=5))
    texts = [text for text, *_ in parsed[1]] + [text for _, text, *_ in parsed[0]]
    characters, size = sum(map(len, texts)), len(json.dumps(long["arguments"]))
    evidence = f"{len(texts)} times parsed, {characters:,} characters in all; the arguments have {size:,}"
    lab.expect(characters <= 3 * size, "parsed_at_each_delta", evidence)
    lab.expect(got == [long], None, f"arguments of {size:,} characters: it gave {str(got)[:60]}")

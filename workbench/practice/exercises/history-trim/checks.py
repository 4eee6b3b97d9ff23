import copy

SYSTEM = {"role": "system", "content": "s" * 40}

LATER = [{"role": "system", "content": f"From now on, in {language}."} for language in ("French", "German")]


def count(message):
    """Tokens: three a message, and one for each four characters of its content; two for a tool call."""
    return 3 + len(message["content"] or "") // 4 + 2 * len(message.get("tool_calls") or ())


def user(text):
    return {"role": "user", "content": text}


def assistant(text, *calls):
    called = [
        {"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in calls
    ]
    return {"role": "assistant", "content": text, **({"tool_calls": called} if calls else {})}


def tool(call, text):
    return {"role": "tool", "tool_call_id": call, "content": text}


CHAT = [SYSTEM]
for number in range(12):
    CHAT += [user(f"Question {number} " + "q" * 4 * number), assistant(f"Answer {number} " + "a" * 20)]
CHAT.append(user("And the last question?"))

TOOLS = [
    SYSTEM,
    user("What is the weather in Zürich and in Tokyo?"),
    assistant(None, "c1", "c2"),
    tool("c1", "rain " * 12),
    tool("c2", "sun " * 12),
    assistant("Rain in Zürich, sun in Tokyo."),
    user("And the time?"),
    assistant("Let me see.", "c3"),
    tool("c3", "noon " * 9),
    assistant("It is noon."),
    user("Thanks. What should I wear?"),
]


def tokens(messages):
    return sum(map(count, messages))


def last_turn(messages):
    return max(place for place, message in enumerate(messages) if message["role"] == "user")


def expected(messages, room):
    """The messages to be kept, by the rules of the task."""
    last = last_turn(messages)
    keep = {place for place, message in enumerate(messages) if message["role"] == "system" or place >= last}
    left = room - sum(count(messages[place]) for place in keep)
    if left < 0:
        return None
    place = last
    while place > 0:
        start = place - 1
        while messages[start]["role"] == "tool":
            start -= 1
        unit = [each for each in range(start, place) if each not in keep]
        left -= sum(count(messages[each]) for each in unit)
        if left < 0:
            break
        keep |= set(unit)
        place = start
    return [messages[each] for each in sorted(keep)]


def orphans(messages):
    """Tool results without their call, and calls without their result."""
    asked = {call["id"] for message in messages for call in message.get("tool_calls") or ()}
    given = {message["tool_call_id"] for message in messages if message["role"] == "tool"}
    return sorted(asked ^ given)


async def trimmed(task, lab, messages, window, reply):
    given = copy.deepcopy(messages)
    outcome = await lab.call(task, given, window, reply, count)
    got = list(outcome.value)
    same = given == messages
    lab.expect(same, None, "the messages given are as they were" if same else "it changed the messages given")
    return got


async def check_fits(task, lab):
    """A conversation that fits stays as it is."""
    for messages in (CHAT[:5] + CHAT[-1:], CHAT):
        got = await trimmed(task, lab, messages, tokens(messages) + 50, 50)
        lab.expect(got == messages, None, f"{len(messages)} messages that fit became {len(got)}")


async def check_reply(task, lab):
    """There is room for the reply."""
    for room in (120, 200):
        got = await trimmed(task, lab, CHAT, room + 60, 60)
        size = tokens(got)
        evidence = f"{size} tokens were kept; of a window of {room + 60} the reply may take 60"
        if not lab.expect(size <= room, "no_room_for_reply" if size <= room + 60 else None, evidence):
            return


async def check_system(task, lab):
    """System messages stay, each at its place."""
    talk = [*CHAT[:5], LATER[0], *CHAT[5:-3], LATER[1], *CHAT[-3:]]
    got, wanted = await trimmed(task, lab, talk, 240, 60), expected(talk, 180)
    roles = [message["role"] for message in got]
    evidence = f"of {len(talk)} messages {len(got)} were kept, {roles.count('system')} of the 3 of the system"
    if lab.expect(roles.count("system") == 3, "drops_system", evidence):
        lab.expect(got == wanted, None, f"{evidence}; {len(wanted)} in their order are right")


async def check_most(task, lab):
    """The latest messages are kept, as many as fit."""
    for room in (90, 150, 260):
        got, wanted = await trimmed(task, lab, CHAT, room + 40, 40), expected(CHAT, room)
        evidence = f"room for {room} tokens: {len(got)} messages were kept, {len(wanted)} are right"
        lab.expect(got == wanted, None, evidence)


async def check_tools(task, lab):
    """A call and its results stay together, wherever the cut comes."""
    least = tokens([SYSTEM, TOOLS[-1]])
    for room in range(least, tokens(TOOLS) + 1, 4):
        got = await trimmed(task, lab, TOOLS, room + 40, 40)
        alone = orphans(got)
        evidence = (
            f"room for {room} tokens: {len(got)} messages, {len(alone)} calls or results without the other"
        )
        if not lab.expect(not alone, "orphans_tool_result", evidence):
            return
        wanted = expected(TOOLS, room)
        evidence = f"room for {room} tokens: {len(got)} messages were kept, {len(wanted)} are right"
        if not lab.expect(got == wanted, None, evidence):
            return
    running = TOOLS[:5]  # the results of a turn that is under way
    got = await trimmed(task, lab, running, tokens(running) + 40, 40)
    lab.expect(got == running, None, f"of a turn under way {len(got)} of 5 messages were kept")


async def check_little(task, lab):
    """The last message is kept, however long the others are."""
    talk = [SYSTEM, user("x" * 4000), assistant("y" * 4000), user("Short.")]
    got = await trimmed(task, lab, talk, 200, 100)
    evidence = f"of 4 messages, two of them huge, {len(got)} were kept: {[each['role'] for each in got]}"
    right = got == [talk[0], talk[3]]
    none_or_all = len(got) in (0, 1, 4) or talk[3] not in got
    lab.expect(right, "rounds_to_zero" if none_or_all else None, evidence)


async def check_too_small(task, lab):
    """What cannot fit is an error."""
    talk = [SYSTEM, user("Hello."), assistant("Hello."), user("x" * 4000)]
    large = [{"role": "system", "content": "s" * 4000}, user("Hello.")]
    for what, messages in (
        ("a last message of 1,003 tokens", talk),
        ("a system message of 1,003 tokens", large),
    ):
        outcome = await lab.call(task, messages, 200, 100, count)
        if isinstance(outcome.error, ValueError):
            lab.expect(True, None, f"{what}: ValueError")
            continue
        got = list(outcome.value)
        mistake = None
        if messages is large and large[0] not in got:
            mistake = "drops_system"
        elif messages is talk and (got == talk or not any(each["role"] == "user" for each in got)):
            mistake = "rounds_to_zero"
        lab.expect(False, mistake, f"{what}, room for 100: {len(got)} of {len(messages)} messages were kept")

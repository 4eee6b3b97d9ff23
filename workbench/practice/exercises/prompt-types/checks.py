WIRE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Why jitter?"},
    {"role": "assistant", "content": "It spreads the load."},
    {"role": "user", "content": ""},
]


def built(task, turns, *system):
    """A prompt with these turns; `add` may change it, or give a new one."""
    prompt = task(*system)
    for turn in turns:
        added = prompt.add(turn["role"], turn["content"])
        prompt = added if isinstance(added, type(prompt)) else prompt
    return prompt


async def check_wire(task, lab):
    """A prompt becomes what the SDKs take."""
    outcome = await lab.call(lambda: built(task, WIRE[1:], "Be brief.").to_wire())
    lab.expect(outcome.value == WIRE, None, f"{len(WIRE)} messages became {outcome.value!r}")


async def check_messages(task, lab):
    """Messages are objects with a role and a content."""
    outcome = await lab.call(lambda: list(built(task, WIRE[1:3], "Be brief.").messages))
    messages = outcome.value
    raw = [type(each).__name__ for each in messages if isinstance(each, dict | str | list)]
    typed = all(hasattr(each, "role") and hasattr(each, "content") for each in messages)
    kinds = ", ".join(sorted({type(each).__name__ for each in messages})) or "nothing"
    mistake = "raw_dict" if raw else None
    lab.expect(typed and len(messages) == 3, mistake, f"3 messages are kept as {kinds}")


async def check_apart(task, lab):
    """Prompts do not share their messages."""

    def both():
        first, second = task(), task()
        added = first.add("user", "Mine.")
        return len((added if isinstance(added, type(first)) else first).messages), len(second.messages)

    outcome = await lab.call(both)
    mine, other = outcome.value
    evidence = f"one message was added to the first of two prompts: they have {mine} and {other}"
    lab.expect(other == 0, "mutable_default", evidence)
    lab.expect(mine == 1 or other != 0, None, evidence)


async def refuses(task, lab, mistake, role, content):
    prompt = task()
    outcome = await lab.call(prompt.add, role, content)
    said = type(outcome.error).__name__ if outcome.error else "nothing"
    kept = len(prompt.messages)
    evidence = f"add({role!r}, {content!r}) raised {said}, and left {kept} messages"
    return lab.expect(isinstance(outcome.error, TypeError | ValueError) and kept == 0, mistake, evidence)


async def check_role(task, lab):
    """A role that is none is refused."""
    for role in ("robot", "User", "tool", "use", "", None, 1):
        if not await refuses(task, lab, "unknown_role", role, "Hello."):
            return


async def check_content(task, lab):
    """A content that is no text is refused."""
    for content in (None, 7, b"bytes", ["Hello."], {"text": "Hello."}):
        if not await refuses(task, lab, "any_content", "user", content):
            return


async def check_system(task, lab):
    """Without a system message a prompt begins empty."""
    for turns in ([], WIRE[1:2]):
        outcome = await lab.call(lambda turns=turns: built(task, turns).to_wire())
        lab.expect(outcome.value == turns, None, f"{len(turns)} messages became {outcome.value!r}")

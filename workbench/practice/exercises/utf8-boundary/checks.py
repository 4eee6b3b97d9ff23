PLAIN = ["Jitter ", "", "spreads ", "naïve ", "clients 🙂."]
WORDS = "naïve 東京 🙂 done"


def pieces_of(data, size):
    return [data[place : place + size] for place in range(0, len(data), size)]


async def decoded(task, lab, chunks):
    """The outcome, and how much had been given each time that a chunk was asked for."""
    got, asked = [], []

    def source():
        for chunk in chunks:
            asked.append("".join(got))
            yield chunk
        asked.append("".join(got))

    def read():
        got.extend(task(source()))
        return "".join(got)

    return await lab.call(read, steps=50_000), asked


def told(outcome):
    return repr(outcome.error) if outcome.error else repr(outcome.value)


async def check_plain(task, lab):
    """Text that comes in whole characters is given as it is."""
    outcome, _ = await decoded(task, lab, [piece.encode() for piece in PLAIN])
    wanted = "".join(PLAIN)
    lab.expect(outcome.value == wanted, None, f"from {len(PLAIN)} chunks of {wanted!r} came {told(outcome)}")


async def check_cut(task, lab):
    """A character that two chunks share stays whole, wherever it is cut."""
    for size in (1, 2, 3, 5):
        chunks = pieces_of(WORDS.encode(), size)
        outcome, _ = await decoded(task, lab, chunks)
        evidence = f"{WORDS!r} in chunks of {size} bytes became {told(outcome)}"
        text = outcome.result if isinstance(outcome.result, str) else ""
        mistake = "decodes_each_chunk" if "�" in text or isinstance(outcome.error, UnicodeError) else None
        if text and "�" not in text and len(text) < len(WORDS):
            mistake = "errors_ignored"
        if not lab.expect(outcome.result == WORDS, mistake, evidence):
            return


async def check_invalid(task, lab):
    """Bytes that are no UTF-8 show as U+FFFD."""
    for chunks in ([b"a\xffb"], [b"a\xe2", b"b"], [b"caf\xe9", b" au lait"], [b"\x80\x80 ok"]):
        outcome, _ = await decoded(task, lab, chunks)
        wanted = b"".join(chunks).decode(errors="replace")
        lost = isinstance(outcome.result, str) and outcome.result == wanted.replace("�", "")
        evidence = f"{chunks} became {told(outcome)}, it is {wanted!r}"
        lab.expect(outcome.result == wanted, "errors_ignored" if lost else None, evidence)


async def check_end(task, lab):
    """A character that the end cuts off shows as U+FFFD."""
    chunks = [b"It costs 5 ", b"\xe2\x82"]
    outcome, _ = await decoded(task, lab, chunks)
    lost = outcome.result == "It costs 5 "
    evidence = f"{chunks} became {told(outcome)}"
    lab.expect(outcome.result == "It costs 5 �", "no_final_flush" if lost else None, evidence)


async def check_live(task, lab):
    """Every character is given as soon as its last byte has come."""
    data = WORDS.encode()
    for size in (1, 4):
        chunks = pieces_of(data, size)
        _, asked = await decoded(task, lab, chunks)
        complete = [len(data[: size * count].decode(errors="ignore")) for count in range(len(chunks) + 1)]
        behind = [known - len(given) for known, given in zip(complete, asked, strict=False)]
        worst = max(behind, default=0)
        evidence = f"in chunks of {size} bytes, the text was at most {worst} characters behind what had come"
        if not lab.expect(worst <= 0 and len(asked) > len(chunks), "holds_back", evidence):
            return

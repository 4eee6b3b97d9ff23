SIMPLE = b'event: start\ndata: {"id": 1}\n\ndata: two\n\nevent: end\ndata: three\n\n'
EVENTS = [("start", '{"id": 1}'), ("message", "two"), ("end", "three")]
WORDS = "data: naïve 東京 🙂\n\n".encode()


def bytewise(stream):
    return [stream[place : place + 1] for place in range(len(stream))]


async def parsed(task, lab, chunks):
    outcome = await lab.call(lambda: list(task(iter(chunks))), steps=50_000)
    return [tuple(event) for event in outcome.value]


async def expect(task, lab, mistake, stream, wanted, chunks=None):
    got = await parsed(task, lab, [stream] if chunks is None else chunks)
    how = "" if chunks is None else f", in {len(chunks)} chunks,"
    instead = "" if got == wanted else f" in place of {wanted}"
    return lab.expect(got == wanted, mistake, f"from {stream!r}{how} came {got}{instead}")


async def check_chunks(task, lab):
    """Where chunks are cut changes nothing."""
    as_sent = await parsed(task, lab, [each + b"\n\n" for each in SIMPLE.split(b"\n\n")[:-1]])
    mistake = "chunk_is_event" if as_sent == EVENTS else None
    lab.expect(as_sent == EVENTS, None, f"from 3 events in 3 chunks came {as_sent}")
    await expect(task, lab, mistake, SIMPLE, EVENTS, [SIMPLE[:20], SIMPLE[20:]])
    await expect(task, lab, mistake, SIMPLE, EVENTS, bytewise(SIMPLE))
    await expect(task, lab, mistake, SIMPLE, EVENTS)


async def check_characters(task, lab):
    """A character that two chunks share stays whole."""
    await expect(task, lab, None, WORDS, [("message", "naïve 東京 🙂")], bytewise(WORDS))


async def check_live(task, lab):
    """An event is given before the next chunk is asked for."""
    taken = []

    def chunks():
        for chunk in (b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"):
            taken.append(chunk)
            yield chunk

    await lab.call(lambda: next(iter(task(chunks()))), steps=50_000)
    lab.expect(len(taken) == 1, None, f"the first event came after {len(taken)} of 3 chunks")


async def check_space(task, lab):
    """One space after the colon is dropped, and none is needed."""
    await expect(task, lab, "needs_space", b"event:ping\ndata:x\n\n", [("ping", "x")])
    await expect(task, lab, None, b"data:  indented\n\n", [("message", " indented")])


async def check_lines(task, lab):
    """Every line end, comments, and data of several lines are read as the standard says."""
    for stream, wanted in (
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [("message", "a"), ("message", "b")]),
        (b"data: a\rdata: b\r\rdata: c\r\r", [("message", "a\nb"), ("message", "c")]),
        (b": hello\ndata: a\n:data: no\n\n", [("message", "a")]),
        (b"data: a\ndata: b\ndata\n\n", [("message", "a\nb\n")]),
        ("data: a\u2028b\x0cc\n\n".encode(), [("message", "a\u2028b\x0cc")]),
        (b"event: ping\n\ndata: a\n\n", [("message", "a")]),
        (b"data: a:b\nid: 7\nretry: 10\ndatas: c\n\n", [("message", "a:b")]),
    ):
        if not await expect(task, lab, "lines", stream, wanted):
            return
    stream = b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n"
    await expect(task, lab, "lines", stream, [("message", "a\nb"), ("message", "c")], bytewise(stream))


async def check_end(task, lab):
    """What the end of the stream cuts off is not given."""
    stream = b"data: whole\n\ndata: half\n"
    await expect(task, lab, "last_event", stream, [("message", "whole")])
    await expect(task, lab, "last_event", b"data: half", [])


async def check_byte_order_mark(task, lab):
    """A byte order mark at the beginning is dropped."""
    stream = b"\xef\xbb\xbfdata: a\n\n"
    await expect(task, lab, "byte_order_mark", stream, [("message", "a")])
    await expect(task, lab, "byte_order_mark", stream, [("message", "a")], bytewise(stream))
    stream = "data: a\ufeffb\n\n\ufeffdata: c\n\n".encode()  # in later places it is a character like others
    await expect(task, lab, "byte_order_mark", stream, [("message", "a\ufeffb")])

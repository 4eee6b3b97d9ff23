from types import SimpleNamespace

from workbench.practice.upstream import Source

PIECES = [f"word{number} " for number in range(20)]
AHEAD = 6  # chunks: the 4 that may be held, one on its way to there, one that has been asked for


def chunk(content, *, choices=True):
    """What of the SDK's chunk a relay looks at: to import the SDK takes longer than all the checks."""
    delta = SimpleNamespace(role="assistant", content=content, tool_calls=None)
    choice = SimpleNamespace(index=0, delta=delta, finish_reason=None)
    return SimpleNamespace(
        object="chat.completion.chunk", model="gpt-5.5", choices=[choice] if choices else [], usage=None
    )


EMPTY = chunk(None, choices=False)


class Stream(Source):
    """A stream of the SDK's shape."""

    async def close(self):
        await self.aclose()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        await self.aclose()


class Gone(ConnectionResetError):
    pass


class Relaying:
    """One relay of one stream to one client, and what each of them saw."""

    def __init__(self, task, lab, chunks, *, every=0.1, error=None, takes=0.0, leaves_after=None):
        self.task, self.lab = task, lab
        self.stream = Stream(chunks, every, error)
        self.got, self.most_ahead, self.first_at = "", 0, None
        self.leaves_after = leaves_after
        self.client = lab.service(self.accept, takes=takes, name="send")

    def accept(self, text):
        if self.leaves_after is not None and len(self.client.calls) > self.leaves_after:
            raise Gone("the client has left")
        self.got += text

    async def send(self, text):
        if self.first_at is None:
            self.first_at = self.lab.now()
        on_their_way = len(self.got + text)
        covered = sum(len("".join(PIECES[: count + 1])) <= on_their_way for count in range(len(PIECES)))
        self.most_ahead = max(self.most_ahead, len(self.stream.asked) - covered)
        await self.client(text)

    async def run(self, **options):
        self.start = self.lab.now()
        return await self.lab.call(self.task, self.stream, self.send, **options)


def pair(outcome):
    text, error = outcome.value
    return text, error


def told(outcome):
    if outcome.hung:
        return "it never ended"
    if outcome.error is not None:
        return f"it raised {type(outcome.error).__name__}"
    return f"it returned {outcome.result!r}"


async def check_relays(task, lab):
    """The text reaches the client, and is returned."""
    relaying = Relaying(task, lab, map(chunk, PIECES[:6]))
    outcome = await relaying.run()
    text, error = pair(outcome)
    wanted = "".join(PIECES[:6])
    lab.expect(
        relaying.got == wanted, None, f"of {len(wanted)} characters the client got {len(relaying.got)}"
    )
    lab.expect(text == wanted and error is None, None, f"{told(outcome)}, and the text is {wanted!r}")


async def check_no_text(task, lab):
    """Chunks without choices or without text are passed over."""
    wanted = "".join(PIECES[:4])
    texts = list(map(chunk, PIECES[:4]))
    for what, chunks, mistake in (
        ("delta.content is None in the first chunk", [chunk(None), *texts, chunk(None)], None),
        ("the last chunk has no choices", [*texts, EMPTY], "empty_choices"),
        ("the first chunk has no choices", [EMPTY, *texts], "empty_choices"),
    ):
        relaying = Relaying(task, lab, chunks)
        outcome = await relaying.run()
        right = outcome.error is None and not outcome.hung and tuple(outcome.result) == (wanted, None)
        lab.expect(
            right and relaying.got == wanted,
            mistake,
            f"{what}: {told(outcome)}, the client got {len(relaying.got)} of {len(wanted)} characters",
        )


async def check_slow_client(task, lab):
    """A slow client slows the reading down."""
    relaying = Relaying(task, lab, map(chunk, PIECES), every=0.01, takes=1.0)
    outcome = await relaying.run()
    ahead = relaying.most_ahead
    evidence = f"a slow client, 20 chunks: {ahead} had been read that were not on their way to it, 4 may be"
    if ahead <= AHEAD:
        evidence = "a slow client, 20 chunks: no more than 4 were held"
    if lab.expect(ahead <= AHEAD, "buffers_everything", evidence):
        outcome.value
        lab.expect(relaying.got == "".join(PIECES), None, f"the slow client got {relaying.got!r}")


async def check_live(task, lab):
    """A fast client gets each piece as it comes."""
    relaying = Relaying(task, lab, map(chunk, PIECES), every=0.5)
    outcome = await relaying.run()
    outcome.value
    first = (relaying.first_at or relaying.start) - relaying.start
    mistake = "buffers_everything" if first > 9 else None
    evidence = f"a chunk every 0.5 s, for 10 s: the client got the first one at {first:.2f} s"
    if lab.expect(first < 0.6, mistake, evidence):
        most = relaying.most_ahead
        lab.expect(most <= 2, None, f"a fast client, and {most} chunks had been read that it had not got")


async def check_stream_breaks(task, lab):
    """If the stream breaks, the text so far is kept, and the error told."""
    wanted, broken = "".join(PIECES[:6]), RuntimeError("the upstream broke")
    relaying = Relaying(task, lab, map(chunk, PIECES[:6]), error=broken, takes=0.3)
    outcome = await relaying.run()
    evidence = f"the stream broke after {len(wanted)} characters: {told(outcome)}"
    lost = outcome.error is broken or f"{broken}" in f"{getattr(outcome.error, 'exceptions', '')}"
    if not lab.expect(not lost, "error_loses_text", evidence):
        return
    text, error = pair(outcome)
    short = isinstance(text, str | None) and len(text or "") < len(wanted)
    if lab.expect(not short, "error_loses_text", evidence):
        lab.expect(text == wanted and error is broken, None, evidence)
    got = len(relaying.got)
    evidence = f"the stream broke after {len(wanted)} characters, and the client got {got} of them"
    lab.expect(got == len(wanted), "error_loses_text", evidence)


async def check_client_leaves(task, lab):
    """When the client leaves, the stream is closed."""
    relaying = Relaying(task, lab, map(chunk, PIECES), leaves_after=3)
    outcome = await relaying.run()
    judge_closed(lab, relaying, outcome, "the client left after 3 pieces")
    evidence = f"send() raised Gone, a ConnectionError, and {told(outcome)}"
    lab.expect(isinstance(outcome.error, ConnectionError), None, evidence)


async def check_cancelled(task, lab):
    """When the caller gives up, the stream is closed."""
    for what, every, takes in (("reading", 1.0, 0.0), ("sending", 0.1, 1.0)):
        relaying = Relaying(task, lab, map(chunk, PIECES), every=every, takes=takes)
        outcome = await relaying.run(cancel_after=2.45)
        judge_closed(lab, relaying, outcome, f"it was cancelled while {what}")
        lab.expect(outcome.cancelled, None, f"it was cancelled while {what}, and {told(outcome)}")


def judge_closed(lab, relaying, outcome, what):
    stream = relaying.stream
    if stream.closed is not None:
        closed = f"the stream was closed after {stream.closed - relaying.start:.2f} s"
    elif stream.ended is not None:
        closed = f"the stream was read to its end, {len(stream.asked) - 1} chunks"
    else:
        closed = f"the stream was not closed, {len(stream.asked)} of 20 chunks had been asked for"
    lab.expect(stream.closed is not None, "upstream_not_closed", f"{what}, and {closed}")
    left = f"{len(outcome.left)} tasks are left {' '.join(outcome.left[:1])}".strip()
    lab.expect(not outcome.left, None, f"{what}: {left}")

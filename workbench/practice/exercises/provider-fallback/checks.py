import asyncio
import inspect

PIECES = {"first": ["The ", "first ", "answers."], "second": ["It ", "is ", "the ", "second."]}
TEXTS = {name: "".join(pieces) for name, pieces in PIECES.items()}


class ProviderError(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


class Providers:
    """Two providers whose health the check decides, and the caller of what stands before them."""

    def __init__(self, task, lab, **options):
        self.lab = lab
        self.takes = {"first": 0.5, "second": 0.4}
        self.error = dict.fromkeys(PIECES)  # raised instead of a stream
        self.breaks = dict.fromkeys(PIECES)  # (after so many pieces, with this error)
        self.asked = {name: self.provider(name) for name in PIECES}
        self.fallback = task(list(self.asked.values()), lab.now, **options)
        self.every = {"first": 0.1, "second": 0.1}
        self.pieces, self.first_piece = [], None

    def provider(self, name):
        def answer(prompt):
            if self.error[name]:
                raise self.error[name]
            pieces, error = PIECES[name], None
            if self.breaks[name]:
                count, error = self.breaks[name]
                pieces = pieces[:count]
            return self.lab.source(pieces, every=self.every[name], error=error)

        return self.lab.service(answer, takes=lambda prompt: self.takes[name], name=name)

    def counts(self):
        return {name: len(service.calls) for name, service in self.asked.items()}

    async def ask(self):
        """Ask a question, read its answer; `.pieces` and `.first_piece` (seconds) tell what came."""
        start, self.pieces, self.first_piece = self.lab.now(), [], None

        async def read():
            stream = self.fallback.stream("What is a fallback?")
            async for piece in await stream if inspect.isawaitable(stream) else stream:
                self.pieces.append(piece)
                if self.first_piece is None:
                    self.first_piece = self.lab.now() - start

        return await self.lab.call(read)

    @property
    def text(self):
        return "".join(self.pieces)


async def check_first(task, lab):
    """While the first provider is well it is asked, and its pieces are passed on as they come."""
    providers = Providers(task, lab)
    outcome = await providers.ask()
    outcome.value
    counts = providers.counts()
    evidence = (
        f"both are well: {providers.text!r} came, first {counts['first']}, second {counts['second']} calls"
    )
    if lab.expect(providers.text == TEXTS["first"] and counts["second"] == 0, None, evidence):
        evidence = f"the first piece came after {providers.first_piece:.2f} s, the provider had it at 0.60 s"
        lab.expect(providers.first_piece < 0.65, None, evidence)


async def check_fails_over(task, lab):
    """If a provider fails before its first piece, the next one answers."""
    for what, error, late in (
        ("says 503", ProviderError(503), False),
        ("says 429", ProviderError(429), False),
        ("says 408", ProviderError(408), False),
        ("cannot be reached", ConnectionError("refused"), False),
        ("says 500 in place of the first piece", ProviderError(500), True),
    ):
        providers = Providers(task, lab)
        if late:
            providers.breaks["first"] = (0, error)
        else:
            providers.error["first"] = error
        outcome = await providers.ask()
        said = type(outcome.error).__name__ if outcome.error else repr(providers.text)
        lab.expect(
            outcome.error is None and providers.text == TEXTS["second"],
            None,
            f"the first provider {what}, and the caller gets {said}",
        )


async def check_client_error(task, lab):
    """A request that is wrong is told to the caller, and says nothing about the provider."""
    for status in (400, 422):
        providers = Providers(task, lab)
        providers.error["first"] = ProviderError(status)
        outcome = await providers.ask()
        asked = providers.counts()["second"]
        evidence = f"the first provider says {status}, and the second is asked {asked} times"
        if not lab.expect(asked == 0, "fails_over_on_client_error", evidence):
            return
        raised = outcome.error
        evidence = f"the first provider says {status}, and the caller gets {raised!r}"
        lab.expect(isinstance(raised, ProviderError) and raised.status == status, None, evidence)
        providers.error["first"] = None
        (await providers.ask()).value
        asked = providers.counts()["second"]
        evidence = f"after a {status} of the first provider the next question goes to the "
        evidence += "second" if asked else "first"
        lab.expect(asked == 0, "fails_over_on_client_error", evidence)


async def check_mid_stream(task, lab):
    """What has been given is never given again: a stream that breaks ends with its error."""
    providers = Providers(task, lab)
    providers.breaks["first"] = (2, ProviderError(503))
    outcome = await providers.ask()
    evidence = f"the first provider broke after 'The first ', and the caller got {providers.text!r}"
    more = len(providers.text) > len("The first ")
    mistake = "duplicate_text" if providers.text.startswith("The ") else None
    if lab.expect(not more, mistake, evidence):
        lab.expect(providers.text == "The first ", None, evidence)
        raised = outcome.error
        right = isinstance(raised, ProviderError) and raised.status == 503
        lab.expect(right, None, f"it broke with a status of 503, and the caller gets {raised!r}")


async def check_broken(task, lab):
    """A stream that breaks is a failure of its provider, and remembered."""
    providers = Providers(task, lab)
    providers.breaks["first"] = (2, ProviderError(503))
    await providers.ask()
    providers.breaks["first"] = None
    (await providers.ask()).value
    asked = providers.counts()["second"]
    evidence = f"the first provider's stream broke; the next question: {asked} calls of the second provider"
    lab.expect(asked == 1, None, evidence)


async def check_slow_pieces(task, lab):
    """A provider that has begun to answer may take its time."""
    providers = Providers(task, lab)
    providers.every["first"] = 1.4
    outcome = await providers.ask()
    said = repr(outcome.error) if outcome.error else repr(providers.text)
    evidence = f"three pieces, 1.4 s from one to the next: the caller gets {said}"
    lab.expect(outcome.error is None and providers.text == TEXTS["first"], None, evidence)


async def check_outage(task, lab):
    """During an outage only the first question waits for the provider that is down."""
    for what, takes, every, error in (
        ("is slow to fail", 1.5, 0.1, ProviderError(503)),
        ("hangs", 200.0, 0.1, None),
        ("opens a stream and then gives nothing", 0.05, 200.0, None),
    ):
        providers = Providers(task, lab)
        providers.takes["first"], providers.every["first"], providers.error["first"] = takes, every, error
        waits = []
        for _ in range(5):
            (await providers.ask()).value
            waits.append(providers.first_piece)
        told = ", ".join("never" if wait is None else f"{wait:.1f}" for wait in waits)
        evidence = f"the first provider {what}; the first pieces of 5 questions came after {told} s"
        right = waits[0] is not None and waits[0] < 2.6 and all(wait and wait < 0.6 for wait in waits[1:])
        added = any(
            wait is not None and wait > limit for wait, limit in zip(waits, [2.6, *[1.2] * 4], strict=True)
        )
        if not lab.expect(right, "latencies_add_up" if added else None, evidence):
            return


async def check_goes_back(task, lab):
    """After its cooldown a provider is asked again, and if it is well it stays the first."""
    providers = Providers(task, lab)
    providers.error["first"] = ProviderError(503)
    (await providers.ask()).value
    (await providers.ask()).value
    providers.error["first"] = None
    await asyncio.sleep(20)
    before = providers.counts()["first"]
    (await providers.ask()).value
    early = providers.counts()["first"] - before
    lab.expect(early == 0, None, f"about 22 s after its failure the first provider is asked {early} times")
    await asyncio.sleep(20)
    before = providers.counts()["first"]
    for _ in range(4):
        (await providers.ask()).value
    went = providers.counts()["first"] - before
    evidence = f"about 42 s after its failure, and well again, the first provider got {went} of 4 questions"
    mistake = "never_goes_back" if went == 0 else None
    lab.expect(went == 4, mistake, evidence)


async def check_all_down(task, lab):
    """If all fail the last error comes out, and they are asked again all the same."""
    providers = Providers(task, lab)
    providers.error = {"first": ProviderError(500), "second": ProviderError(502)}
    outcome = await providers.ask()
    raised, counts = outcome.error, providers.counts()
    right = isinstance(raised, ProviderError) and raised.status == 502
    lab.expect(right, None, f"they say 500 and 502, and the caller gets {raised!r}")
    lab.expect(counts == {"first": 1, "second": 1}, None, f"both are down: they got {counts} calls")
    providers.error = dict.fromkeys(PIECES)
    outcome = await providers.ask()
    said = repr(outcome.error) if outcome.error else repr(providers.text)
    evidence = f"both failed a second ago and are well now: the caller gets {said}"
    lab.expect(outcome.error is None and providers.text == TEXTS["first"], None, evidence)

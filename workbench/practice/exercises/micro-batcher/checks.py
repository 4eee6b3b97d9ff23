import asyncio


class BadTextError(ValueError):
    pass


def vector(text):
    return [float(ord(each)) for each in text]


class Trial:
    """A batcher in front of an endpoint that takes 0.2 s, and refuses a batch with a bad text in it."""

    def __init__(self, lab, bad=()):
        self.lab, self.bad, self.served = lab, set(bad), set()
        self.endpoint = lab.service(self.answer, takes=0.2, name="embed_batch")

    def answer(self, texts):
        refused = sorted(self.bad & set(texts))
        return BadTextError(f"{refused[0]} is refused") if refused else [vector(text) for text in texts]

    async def opened(self, task, size=8, wait=0.5):
        self.batcher = (await self.lab.call(task, self.send, size, wait)).value
        self.start = self.lab.now()
        return self

    async def send(self, texts):
        return await self.endpoint(list(texts))

    async def embed(self, text, after=0.0, **options):
        await asyncio.sleep(after)
        outcome = await self.lab.call(self.batcher.embed, text, within=30.0, **options)
        if outcome.result == vector(text):
            self.served.add(text)
        return outcome

    def asked(self, count, every=0.0, prefix="t", **options):
        """So many texts, each asked for by a task of its own."""
        return [
            asyncio.create_task(self.embed(f"{prefix}{number}", every * number, **options))
            for number in range(count)
        ]

    def batches(self):
        """(when it was sent, how many texts) of each batch."""
        return [(call.start - self.start, len(call.args[0])) for call in self.endpoint.calls]

    def told(self):
        return ", ".join(f"{size} at {at:.2f} s" for at, size in self.batches()[:6]) or "none"


async def check_full(task, lab):
    """A full batch is sent at once, and everybody gets the vector of their text."""
    trial = await Trial(lab).opened(task)
    outcomes = await asyncio.gather(*trial.asked(8))
    got = [outcome.value for outcome in outcomes]
    good = sum(each == vector(f"t{number}") for number, each in enumerate(got))
    lab.expect(good == 8, None, f"{good} of 8 got the vector of their own text")
    batches = trial.batches()
    evidence = f"8 texts came at once, max_size is 8; batches sent: {trial.told()}"
    if lab.expect(sum(size for _, size in batches) == 8 and len(batches) == 1, None, evidence):
        lab.expect(batches[0][0] < 0.45, "time_only", f"{evidence}; max_wait is 0.5 s")


async def check_size(task, lab):
    """No batch is larger than it may be."""
    trial = await Trial(lab).opened(task)
    await asyncio.gather(*trial.asked(20))
    sizes = [size for _, size in trial.batches()]
    evidence = f"20 texts came at once, max_size is 8; batches sent: {trial.told()}"
    if lab.expect(max(sizes, default=0) <= 8, "time_only", evidence):
        late = [at for at, size in trial.batches() if size == 8 and at > 0.05]
        lab.expect(not late, None, f"{evidence}; {len(late)} full ones waited")


async def check_wait(task, lab):
    """A batch that does not fill up is sent when its first text has waited long enough."""
    trial = await Trial(lab).opened(task)
    outcomes = await asyncio.gather(*trial.asked(3, every=0.2))
    good = len(trial.served)
    evidence = f"3 texts came within 0.4 s, max_size is 8; {good} were answered within 30 s"
    if not lab.expect(not any(outcome.hung for outcome in outcomes), "size_only", evidence):
        return
    lab.expect(good == 3, None, evidence)
    evidence = f"3 texts came within 0.4 s, max_wait is 0.5 s; batches sent: {trial.told()}"
    first = trial.batches()[0] if trial.batches() else (0.0, 0)
    lab.expect(first[1] == 3 and abs(first[0] - 0.5) < 0.05, None, evidence)
    await asyncio.sleep(2)
    again = await trial.embed("later")
    evidence = f"a text that came alone, {again.start:.1f} s later, was answered after {again.seconds:.2f} s"
    lab.expect("later" in trial.served and again.seconds < 0.8, None, evidence)


async def check_bad_text(task, lab):
    """A text that is refused fails by itself."""
    trial = await Trial(lab, bad={"t3"}).opened(task)
    outcomes = await asyncio.gather(*trial.asked(8))
    good = len(trial.served)
    evidence = f"1 of 8 texts in a batch was refused, and {good} of the 7 others got their vectors"
    if not lab.expect(good == 7, "bad_item_fails_all", evidence):
        return
    error = outcomes[3].error
    lab.expect(isinstance(error, BadTextError), None, f"whose text was refused got {error!r}")
    count = len(trial.batches())
    lab.expect(count <= 15, None, f"{count} calls were made for 8 texts, one of them bad; 1 + 8 are enough")


async def check_cancelled(task, lab):
    """One who waits may give up at any time, and the others have their answers."""
    for count, place, after in ((4, 0, 0.2), (4, 3, 0.2), (4, 0, 0.6), (4, 3, 0.6), (8, 0, 0.1), (8, 7, 0.1)):
        trial = await Trial(lab).opened(task)
        waiters = [
            trial.embed(f"t{number}", cancel_after=after if number == place else None)
            for number in range(count)
        ]
        outcomes = await asyncio.gather(*waiters)
        sent = trial.batches()[0][0] if trial.batches() else float("inf")
        when = "while its batch was under way" if sent < after else "before its batch was sent"
        served = len(trial.served - {f"t{place}"})
        evidence = (
            f"one of {count} gave up {when}, at t = {after:.1f} s; {served} of the others got their vectors"
        )
        if not lab.expect(served == count - 1, "cancelled_waiter", evidence):
            return
        error = outcomes[place].error
        lab.expect(outcomes[place].cancelled, None, f"who gave up got {error!r}")
        await trial.embed("after")
        later = "answered" if "after" in trial.served else "not answered within 30 s"
        evidence = f"one of {count} gave up {when}, and a text that came later was {later}"
        if not lab.expect("after" in trial.served, "cancelled_waiter", evidence):
            return


async def check_close(task, lab):
    """close() returns when everybody has an answer."""
    for count, after, size in ((3, 0.1, 8), (8, 0.1, 8), (5, 0.1, 2), (11, 0.05, 8)):
        before = asyncio.all_tasks()
        trial = await Trial(lab).opened(task, size=size, wait=10.0)
        waiters = trial.asked(count)
        await asyncio.sleep(after)
        closed = await lab.call(trial.batcher.close, within=60.0)
        served = len(trial.served)
        came = "did not come back" if closed.hung else f"came back after {closed.seconds:.2f} s"
        evidence = f"{count} had asked, max_size is {size}; close() {came}, and {served} had their vectors"
        if not lab.expect(served == count, "lost_at_shutdown", evidence):
            return
        closed.value
        lab.expect(closed.seconds < 1.5, None, f"{evidence}; max_wait is 10 s")
        await asyncio.gather(*waiters)
        await asyncio.sleep(0.01)
        left = [each for each in asyncio.all_tasks() - before if not each.done()]
        lab.expect(not left, None, f"{len(left)} tasks are left after close()")


async def check_close_empty(task, lab):
    """close() returns at once when nobody waits."""
    for count in (0, 2):
        trial = await Trial(lab).opened(task)
        await asyncio.gather(*trial.asked(count))
        closed = await lab.call(trial.batcher.close, within=60.0)
        closed.value
        lab.expect(closed.seconds < 1.0, None, f"after {count} texts, close() took {closed.seconds:.2f} s")

import asyncio

LATE = 0.5  # seconds that a limiter may wake up late: some look now and then


class Desk:
    """A limiter, and a note of who went when."""

    def __init__(self, task, lab, rpm, tpm):
        self.lab, self.limiter = lab, task(rpm, tpm)
        self.went = []  # (name, tokens, when)

    async def ask(self, tokens, name=None, *, after=0.0, within=600.0, cancel_after=None):
        await asyncio.sleep(after)

        async def acquire():
            await self.limiter.acquire(tokens)
            self.went.append((name, tokens, self.lab.now()))

        return await self.lab.call(acquire, within=within, cancel_after=cancel_after)

    async def times(self, *tokens):
        """When each went, one after the other."""
        for each in tokens:
            (await self.ask(each)).value
        return [when for _, _, when in self.went]

    def too_many(self, rpm, tpm):
        """Where more had gone than the buckets held, as evidence; None: nowhere."""
        requests = spent = 0
        for _, tokens, when in self.went:
            requests, spent = requests + 1, spent + tokens
            by = f"had gone by t = {when:.2f} s; the limit allows"
            if requests > rpm + rpm * when / 60 + 0.01:
                return f"{requests} requests {by} {int(rpm + rpm * when / 60 + 0.01)}"
            if spent > tpm + tpm * when / 60 + 1:
                return f"{spent} tokens {by} {round(tpm + tpm * when / 60)}"
        return None


def close(got, wanted):
    return all(-0.01 <= mine - right <= LATE for mine, right in zip(got, wanted, strict=True))


def told(times):
    return ", ".join(f"{when:.2f}" for when in times)


async def check_one_after_the_other(task, lab):
    """One caller gets what both buckets hold, and then what they fill with."""
    for rpm, tpm, costs, wanted in (
        (6, 6000, [1] * 8, [0] * 6 + [10, 20]),
        (600, 600, [200, 300, 200, 100], [0, 0, 10, 20]),
    ):
        desk = Desk(task, lab, rpm, tpm)
        start = lab.now()
        got = [when - start for when in await desk.times(*costs)]
        evidence = f"{rpm} requests and {tpm} tokens a minute, costs {costs}: they went at {told(got)} s"
        lab.expect(close(got, wanted), None, evidence)


async def check_together(task, lab):
    """Callers that wait together get no more than the limit, in the order in which they asked."""
    for rpm, tpm, tokens, wanted in (
        (6, 6000, 1, [0] * 6 + [10, 20, 30, 40]),
        (600, 600, 150, [0] * 4 + [15, 30, 45]),
    ):
        desk, start = Desk(task, lab, rpm, tpm), lab.now()
        outcomes = await asyncio.gather(*(desk.ask(tokens, number) for number in range(len(wanted))))
        for outcome in outcomes:
            outcome.value
        desk.went = [(name, cost, when - start) for name, cost, when in desk.went]
        over = desk.too_many(rpm, tpm)
        evidence = over or f"{len(wanted)} callers at once went at {told(when for _, _, when in desk.went)} s"
        if lab.expect(not over, "no_recheck", evidence):
            names = [name for name, _, _ in desk.went]
            lab.expect(close([when for _, _, when in desk.went], wanted), None, evidence)
            lab.expect(names == sorted(names), None, f"the callers went in the order {names}")


async def check_clock(task, lab):
    """Somebody who sets the date changes nothing."""
    for seconds in (0, 3600, -300):
        desk = Desk(task, lab, 6, 6000)
        await desk.times(*[1] * 6)
        await asyncio.sleep(1)
        lab.clocks.set_by += seconds
        start = lab.now()
        outcome = await desk.ask(1)
        outcome.value
        waited = outcome.end - start
        evidence = f"the date was set by {seconds:+} s" if seconds else "nobody set the date"
        evidence += f"; the next request waited {waited:.1f} s, 9.0 s is right"
        if not lab.expect(close([waited], [9.0]), "wall_clock" if seconds else None, evidence):
            return


async def check_large(task, lab):
    """A request that needs much has its turn before smaller ones that came later."""
    desk = Desk(task, lab, 6000, 600)
    await desk.times(600)
    start = lab.now()
    small = [desk.ask(10, "small", after=float(number)) for number in range(1, 46)]
    outcomes = await asyncio.gather(desk.ask(300, "large", after=0.1), *small)
    names = [name for name, _, _ in desk.went]
    before = names[1:].index("large") if "large" in names else len(small)
    at = next((f" at {when - start:.0f} s" for name, _, when in desk.went if name == "large"), " never")
    evidence = f"{before} of 45 small requests that had asked later went before the large one, which went{at}"
    lab.expect(before == 0, "large_starves", evidence)
    for outcome in outcomes:
        outcome.value


async def check_capacity(task, lab):
    """What can never be had is refused at once, and what can just be had is not."""
    desk = Desk(task, lab, 60, 600)
    (await desk.ask(600)).value
    outcome = await desk.ask(601)
    if outcome.hung:
        lab.expect(False, "over_capacity", "601 tokens of 600 a minute: it still waited after 600 s")
        return
    name = type(outcome.error).__name__ if outcome.error else "no error"
    evidence = f"601 tokens of 600 a minute: {name} after {outcome.seconds:.1f} s"
    if not lab.expect(isinstance(outcome.error, ValueError) and outcome.seconds < 0.01, None, evidence):
        return
    waiting = asyncio.create_task(desk.ask(300))
    await asyncio.sleep(1)
    outcome = await desk.ask(601)
    evidence = (
        f"601 tokens of 600 a minute, while another caller waited: refused after {outcome.seconds:.1f} s"
    )
    lab.expect(outcome.seconds < 0.01, "sleeps_with_lock", evidence)
    (await waiting).value


async def check_refund(task, lab):
    """Tokens can be given back at any time, and are there for the next one."""
    desk = Desk(task, lab, 600, 600)
    await desk.times(600)
    waiting = asyncio.create_task(desk.ask(100))
    await asyncio.sleep(1)
    outcome = await lab.call(desk.limiter.refund, 20, within=100)
    evidence = f"one caller waited; refund() came back after {outcome.seconds:.2f} s"
    if not lab.expect(outcome.seconds < 0.01, "sleeps_with_lock", evidence):
        return
    outcome.value
    (await waiting).value
    desk = Desk(task, lab, 600, 600)
    await desk.times(600)
    (await lab.call(desk.limiter.refund, 100)).value
    outcome = await desk.ask(100)
    outcome.value
    evidence = f"100 tokens were given back, and the next 100 waited {outcome.seconds:.1f} s"
    lab.expect(outcome.seconds < LATE, None, evidence)


async def check_cancelled(task, lab):
    """Who gives up waiting holds up nobody."""
    desk = Desk(task, lab, 600, 600)
    await desk.times(600)
    start = lab.now()
    first, _, last = await asyncio.gather(desk.ask(100), desk.ask(100, cancel_after=5.0), desk.ask(100))
    first.value
    last.value
    evidence = f"of three callers the second gave up, the third went after {last.end - start:.1f} s"
    lab.expect(last.end - start <= 30 + LATE, None, evidence)

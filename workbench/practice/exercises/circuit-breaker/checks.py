import asyncio


class ProviderError(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


def refused(outcome):
    return type(outcome.error).__name__ == "CircuitOpenError"


class Trial:
    """A breaker, and a provider whose health the check decides."""

    def __init__(self, task, lab, **options):
        self.lab, self.status, self.takes = lab, None, 0.1
        self.provider = lab.service(self.answer, takes=lambda: self.takes, name="provider")
        self.breaker = task(lab.now, **options)

    def answer(self):
        return "ok" if self.status is None else ProviderError(self.status)

    async def ask(self, *, status=None, takes=0.1, times=1):
        """Call so often, one after the other; give the last outcome."""
        for _ in range(times):
            self.status, self.takes = status, takes
            outcome = await self.lab.call(self.breaker.call, self.provider)
            if not (refused(outcome) or isinstance(outcome.error, ProviderError)):
                outcome.value
        return outcome

    async def opened(self):
        """Make it fail until it must be open; tell whether it is."""
        await self.ask(status=500, times=10)
        return self.lab.expect(
            refused(await self.ask()), None, "after 10 failures of 10 calls, the next one is refused"
        )


async def check_opens(task, lab):
    """It opens when half of at least ten calls have failed, and stays open for its cooldown."""
    trial = Trial(task, lab)
    await trial.ask(times=5)
    await trial.ask(status=500, times=5)
    before = len(trial.provider.calls)
    outcome = await trial.ask()
    mine = lab.expect(refused(outcome), None, "after 5 failures of 10 calls, the next one is refused")
    if mine:
        lab.expect(len(trial.provider.calls) == before, None, "the provider is not asked by a refused call")
        await asyncio.sleep(19)
        lab.expect(refused(await trial.ask()), None, "19 s after it has opened, a call is refused")


async def check_passes_on(task, lab):
    """While it is closed, results and errors come out as they are."""
    trial = Trial(task, lab)
    value = (await trial.ask()).value
    lab.expect(value == "ok", None, f"fn() gave 'ok', and call(fn) gave {value!r}")
    error = (await trial.ask(status=503)).error
    lab.expect(
        isinstance(error, ProviderError), None, f"fn() raised ProviderError, and call(fn) raised {error!r}"
    )


async def check_side_by_side(task, lab):
    """While it is closed, calls run side by side."""
    trial = Trial(task, lab)
    trial.takes = 1.0
    outcomes = await asyncio.gather(*(lab.call(trial.breaker.call, trial.provider) for _ in range(5)))
    seconds = max(outcome.end for outcome in outcomes)
    lab.expect(seconds < 1.5, None, f"5 calls at once, of 1 s each, took {seconds:.1f} s")


async def check_minimum(task, lab):
    """A few calls are too few to judge by."""
    trial = Trial(task, lab)
    for number in range(1, 10):
        outcome = await trial.ask(status=500)
        if not lab.expect(
            not refused(outcome),
            "no_minimum",
            f"call {number}, after {number - 1} failures, went through"
            if not refused(outcome)
            else f"it was open after {number - 1} failures, the minimum is 10",
        ):
            return


async def check_window(task, lab):
    """What is older than the window does not count."""
    trial = Trial(task, lab)
    await trial.ask(status=500, times=9)
    await asyncio.sleep(31)
    await trial.ask(status=500, times=3)
    lab.expect(not refused(await trial.ask()), None, "9 failures, 31 s later 3 more, and it is closed")


async def check_client_errors(task, lab):
    """A request that is wrong is no failure of the provider's."""
    trial = Trial(task, lab)
    outcome = await trial.ask(status=404, times=15)
    went = len(trial.provider.calls)
    lab.expect(
        not refused(outcome), "client_errors_counted", f"of 15 calls that give a 404, {went} went through"
    )


async def check_slow(task, lab):
    """A slow answer is a failure, though the caller gets it."""
    trial = Trial(task, lab, window=120.0)
    outcome = await trial.ask(takes=6.0, times=10)
    lab.expect(
        not refused(outcome) and outcome.value == "ok", None, "10 answers that take 6 s each reach the caller"
    )
    evidence = "10 answers took 6 s each, slow is 5 s, and the next call {}"
    outcome = await trial.ask()
    lab.expect(
        refused(outcome),
        "slow_not_counted",
        evidence.format("is refused" if refused(outcome) else "went through"),
    )


async def check_half_open(task, lab):
    """After the cooldown one call goes through, and the others wait for what it says."""
    trial = Trial(task, lab)
    if not await trial.opened():
        return
    await asyncio.sleep(20.5)
    before, trial.status, trial.takes = len(trial.provider.calls), None, 1.0
    outcomes = await asyncio.gather(*(lab.call(trial.breaker.call, trial.provider) for _ in range(6)))
    went = len(trial.provider.calls) - before
    lab.expect(went > 0, "never_resets", f"20.5 s after it has opened, {went} of 6 calls went through")
    lab.expect(went <= 1, "half_open_lets_all", f"{went} of 6 calls at once went through as probes")
    told = sum(map(refused, outcomes))
    lab.expect(went != 1 or told == 5, None, f"{told} of the 5 others were refused")


async def check_recovers(task, lab):
    """A probe that succeeds closes it with an empty record; one that fails opens it again."""
    trial = Trial(task, lab, window=120.0)
    if not await trial.opened():
        return
    await asyncio.sleep(20.5)
    await trial.ask(status=500)
    lab.expect(refused(await trial.ask()), None, "after a probe that failed, a call is refused")
    await asyncio.sleep(20.5)
    outcome = await trial.ask()
    if not lab.expect(
        not refused(outcome),
        "never_resets",
        "41 s after it has opened, and 20.5 s after a probe that "
        f"failed, a call is {'refused' if refused(outcome) else 'let through'}",
    ):
        return
    await trial.ask(status=500)
    outcome = await trial.ask()
    evidence = "after a probe that succeeded and one failure, the next call is"
    lab.expect(
        not refused(outcome), "never_resets", f"{evidence} {'refused' if refused(outcome) else 'let through'}"
    )


async def check_late_results(task, lab):
    """A call from before it opened changes nothing when it ends."""
    trial = Trial(task, lab, cooldown=2.0)
    trial.takes = 4.0
    late = asyncio.create_task(lab.call(trial.breaker.call, trial.provider))
    await asyncio.sleep(0.01)
    if not await trial.opened():  # at about 1 s; the late one ends at 4 s
        return
    await asyncio.sleep(2.2)
    trial.status, trial.takes = None, 3.0
    probe = asyncio.create_task(lab.call(trial.breaker.call, trial.provider))
    await late
    outcome = await trial.ask()
    evidence = f"at t = {outcome.start:.1f} s, while the probe was under way, a call"
    mine = lab.expect(
        refused(outcome),
        "late_result",
        f"{evidence} was refused"
        if refused(outcome)
        else f"{evidence} went through: one that began before it opened had just succeeded",
    )
    await probe
    if mine:
        await closed_for(task, lab)


async def closed_for(task, lab):
    """The same while it is open."""
    trial = Trial(task, lab, cooldown=20.0)
    trial.takes = 4.0
    late = asyncio.create_task(lab.call(trial.breaker.call, trial.provider))
    await asyncio.sleep(0.01)
    await trial.ask(status=500, times=10)
    await late
    outcome = await trial.ask()
    evidence = "a call that began before it opened has succeeded 3 s after that, and the next one"
    lab.expect(
        refused(outcome), "late_result", f"{evidence} {'was refused' if refused(outcome) else 'went through'}"
    )


async def check_cancellation(task, lab):
    """A cancelled call counts as nothing, and a cancelled probe makes room for another."""
    trial = Trial(task, lab)
    if not await trial.opened():
        return
    await asyncio.sleep(20.5)
    trial.status, trial.takes = None, 5.0
    await lab.call(trial.breaker.call, trial.provider, cancel_after=1.0)
    lab.expect(
        not refused(await trial.ask()), None, "after a probe that was cancelled, another one goes through"
    )

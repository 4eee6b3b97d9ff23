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

    def call(self, **options):
        return self.lab.call(self.breaker.call, self.provider, **options)

    async def at_once(self, count):
        return await asyncio.gather(*(self.call() for _ in range(count)))

    async def ask(self, *, status=None, takes=0.1, times=1):
        """Call so often, one after the other; give the last outcome."""
        for _ in range(times):
            self.status, self.takes = status, takes
            outcome = await self.call()
            if not (refused(outcome) or isinstance(outcome.error, ProviderError)):
                outcome.value
        return outcome

    def expect(self, outcome, wanted, when, mistake=None):
        """Judge whether a call was refused or let through, as `wanted`."""
        fate = "refused" if refused(outcome) else "let through"
        return self.lab.expect(fate == wanted, mistake, f"{when}, a call was {fate}")

    async def opened(self):
        """Make it fail until it must be open; tell whether it is."""
        await self.ask(status=500, times=10)
        return self.expect(await self.ask(), "refused", "after 10 failures of 10 calls")


async def check_opens(task, lab):
    """It opens when half of at least ten calls have failed, and stays open for its cooldown."""
    trial = Trial(task, lab)
    trial.takes = 1.0
    seconds = max(outcome.end for outcome in await trial.at_once(5))
    lab.expect(seconds < 1.5, None, f"5 calls at once, of 1 s each, took {seconds:.1f} s")
    await trial.ask(status=500, times=5)
    before = len(trial.provider.calls)
    if trial.expect(await trial.ask(), "refused", "after 5 failures of 10 calls"):
        asked = len(trial.provider.calls) - before
        lab.expect(asked == 0, None, f"the provider was asked {asked} times by a call that was refused")
        await asyncio.sleep(19)
        trial.expect(await trial.ask(), "refused", "19 s after it had opened")
        await asyncio.sleep(1.5)
        trial.expect(await trial.ask(), "let through", "20.5 s after it had opened", "never_resets")


async def check_passes_on(task, lab):
    """While it is closed, results and errors come out as they are."""
    trial = Trial(task, lab)
    value = (await trial.ask()).value
    lab.expect(value == "ok", None, f"fn() gave 'ok', and call(fn) gave {value!r}")
    error = (await trial.ask(status=503)).error
    lab.expect(
        isinstance(error, ProviderError), None, f"fn() raised ProviderError, and call(fn) raised {error!r}"
    )


async def check_minimum(task, lab):
    """A few calls are too few to judge by."""
    trial = Trial(task, lab)
    for failures in range(9):
        outcome = await trial.ask(status=500)
        when = f"after {failures} failures of {failures} calls (the minimum is 10)"
        if refused(outcome) or failures == 8:
            trial.expect(outcome, "let through", when, "no_minimum")
            return


async def check_window(task, lab):
    """What is older than the window does not count."""
    trial = Trial(task, lab)
    await trial.ask(status=500, times=9)
    await asyncio.sleep(31)
    await trial.ask(status=500, times=3)
    trial.expect(await trial.ask(), "let through", "after 9 failures and, 31 s later, 3 more")


async def check_client_errors(task, lab):
    """A request that is wrong is no failure of the provider's."""
    trial = Trial(task, lab)
    outcome = await trial.ask(status=404, times=15)
    went = len(trial.provider.calls)
    evidence = f"of 15 calls that give a 404, {went} went through"
    lab.expect(not refused(outcome), "client_errors_counted", evidence)


async def check_slow(task, lab):
    """A slow answer is a failure, though the caller gets it."""
    trial = Trial(task, lab, window=120.0)
    value = (await trial.ask(takes=6.0, times=10)).value
    lab.expect(value == "ok", None, f"of an answer that took 6 s, the caller got {value!r}")
    trial.expect(await trial.ask(), "refused", "after 10 answers of 6 s (slow is 5 s)", "slow_not_counted")


async def check_half_open(task, lab):
    """After the cooldown one call goes through, and the others wait for what it says."""
    trial = Trial(task, lab)
    if not await trial.opened():
        return
    await asyncio.sleep(20.5)
    before, trial.status, trial.takes = len(trial.provider.calls), None, 1.0
    outcomes = await trial.at_once(6)
    went = len(trial.provider.calls) - before
    lab.expect(went > 0, "never_resets", f"20.5 s after it had opened, {went} of 6 calls went through")
    lab.expect(went <= 1, "half_open_lets_all", f"{went} of 6 calls at once went through as probes")
    told = sum(map(refused, outcomes))
    lab.expect(went != 1 or told == 5, None, f"{told} of 6 calls at once were refused")


async def check_recovers(task, lab):
    """A probe that succeeds closes it with an empty record; one that fails opens it again."""
    trial = Trial(task, lab, window=120.0)
    if not await trial.opened():
        return
    await asyncio.sleep(20.5)
    await trial.ask(status=500)
    trial.expect(await trial.ask(), "refused", "after a probe that failed")
    await asyncio.sleep(20.5)
    when = "20.5 s after a probe that failed"
    if trial.expect(await trial.ask(), "let through", when, "never_resets"):
        await trial.ask(status=500)
        when = "after a probe that succeeded, and one failure"
        trial.expect(await trial.ask(), "let through", when, "never_resets")


async def check_late_results(task, lab):
    """A call from before it opened changes nothing when it ends."""
    trial = Trial(task, lab, cooldown=20.0)
    trial.takes = 4.0
    late = asyncio.create_task(trial.call())
    await asyncio.sleep(0.01)
    if not await trial.opened():  # at about 1 s; the late one ends at 4 s
        return
    await late
    when = "when one that began before it opened had succeeded, 3 s after that"
    trial.expect(await trial.ask(), "refused", when, "late_result")


async def check_late_results_in_half_open(task, lab):
    """Such a call does not stand in for the probe."""
    trial = Trial(task, lab, cooldown=2.0)
    trial.takes = 4.0
    late = asyncio.create_task(trial.call())
    await asyncio.sleep(0.01)
    if not await trial.opened():
        return
    await asyncio.sleep(2.2)
    trial.status, trial.takes = None, 3.0
    probe = asyncio.create_task(trial.call())
    await late
    when = "while the probe was under way, and one that began before it opened had succeeded"
    trial.expect(await trial.ask(), "refused", when, "late_result")
    await probe


async def check_cancellation(task, lab):
    """A cancelled call counts as nothing, and a cancelled probe makes room for another."""
    trial = Trial(task, lab)
    if not await trial.opened():
        return
    await asyncio.sleep(20.5)
    trial.status, trial.takes = None, 5.0
    await trial.call(cancel_after=1.0)
    trial.expect(await trial.ask(), "let through", "after a probe that was cancelled")

import asyncio

from workbench.practice.probes import peak


class ModelError(Exception):
    pass


def rejected(outcome):
    return type(outcome.error).__name__ == "Overloaded"


class Trial:
    """An admission control, and a model whose calls are numbered; the ones in `failing` raise."""

    def __init__(self, lab, takes=10.0, failing=()):
        self.lab = lab
        self.model = lab.service(
            lambda number: ModelError("500") if number in failing else f"answer {number}",
            takes=takes,
            name="model",
        )

    async def opened(self, task, concurrency, queue):
        self.admission = (await self.lab.call(task, concurrency, queue)).value
        return self

    async def run(self, number, after=0.0, **options):
        await asyncio.sleep(after)
        return await self.lab.call(self.admission.run, lambda: self.model(number), within=2000.0, **options)

    async def burst(self, count, every=0.0, first=0):
        return await asyncio.gather(*(self.run(first + number, every * number) for number in range(count)))

    def made(self):
        """The numbers of the calls that reached the model, in order."""
        return [call.args[0] for call in self.model.calls]


async def check_within(task, lab):
    """As long as there is a place, calls go through, and their results and errors come out."""
    trial = await Trial(lab, takes=1.0, failing={2}).opened(task, 4, 8)
    outcomes = await trial.burst(4)
    error = outcomes.pop(2).error
    lab.expect(
        isinstance(error, ModelError), None, f"call() raised ModelError, and run(call) raised {error!r}"
    )
    got = [outcome.value for outcome in outcomes]
    lab.expect(got == ["answer 0", "answer 1", "answer 3"], None, f"the results of three calls were {got!r}")
    later = [outcome.seconds for outcome in outcomes if outcome.seconds > 1.01]
    lab.expect(
        not later or peak(trial.model.calls).at > 0.5,
        None,
        f"{len(later)} of 4 calls had to wait for a place",
    )


async def check_queue(task, lab):
    """When places and queue are full, the next is turned away at once."""
    trial = await Trial(lab).opened(task, 4, 8)
    outcomes = await trial.burst(30)
    no = [outcome for outcome in outcomes if rejected(outcome)]
    late = [outcome.seconds for outcome in no if outcome.seconds > 0.01]
    evidence = f"of 30 calls at once {len(no)} were turned away; 4 may run, 8 may wait"
    if not lab.expect(len(no) > 0 or peak(trial.model.calls).count > 4, "unbounded_queue", evidence):
        return
    slowest = f", the last of them after {max(late):.1f} s" if late else " at once"
    lab.expect(not late, "no_quick_rejection", f"of 30 calls at once {len(no)} were turned away{slowest}")
    if not late and peak(trial.model.calls).count <= 4:
        lab.expect(len(no) == 18, None, evidence)
        errors = [outcome for outcome in outcomes if outcome.error is not None and not rejected(outcome)]
        lab.expect(
            not errors, None, f"{len(errors)} of the others raised {[each.error for each in errors[:1]]}"
        )


async def check_places(task, lab):
    """Only so many calls are running, however long they take."""
    trial = await Trial(lab, takes=100.0).opened(task, 4, 20)
    await trial.burst(24, every=1.0)
    calls = trial.model.calls
    top, began = peak(calls), calls[0].start if calls else 0.0
    burst, at = await Trial(lab, takes=1.0).opened(task, 4, 20), lab.now()
    await burst.burst(8)
    at_once = sum(call.start < at + 0.01 for call in burst.model.calls)
    piled_up = at_once <= 4 and top.count >= 8 and top.at > began + 1.0
    evidence = f"{top}, 4 is the limit; a call takes 100 s, and one came each second"
    lab.expect(top.count <= 4, "rate_without_concurrency" if piled_up else None, evidence)


async def check_used(task, lab):
    """All places are used, and those who wait get theirs in order."""
    trial = await Trial(lab).opened(task, 3, 6)
    start = lab.now()
    outcomes = await trial.burst(9)
    count, made = sum(outcome.error is None for outcome in outcomes), trial.made()
    evidence = f"{count} of 9 calls were answered in {lab.now() - start:.1f} s; 3 may run, 6 may wait"
    right = count == 9 and lab.now() - start < 30.5
    if peak(trial.model.calls).count <= 3 and lab.expect(right, None, evidence):
        lab.expect(made == sorted(made), None, f"the calls were made in the order {made}")
    again = await trial.run(99)
    lab.expect(
        again.error is None and not again.hung, None, f"after that, one more call ended with {again.error!r}"
    )


async def check_rejected(task, lab):
    """A call that is turned away is never made."""
    for concurrency, queue in ((2, 3), (2, 0)):
        trial = await Trial(lab, takes=1.0).opened(task, concurrency, queue)
        outcomes = await trial.burst(12)
        await asyncio.sleep(30)
        no = [number for number, outcome in enumerate(outcomes) if rejected(outcome)]
        run = [number for number in no if number in trial.made()]
        evidence = f"{len(no)} of 12 calls were turned away, and {len(run)} of those were made"
        if not lab.expect(not run, "rejected_call_runs", evidence):
            return
        if queue == 0 and not any(outcome.seconds > 1.1 for outcome in outcomes):
            kept = sum(outcome.error is None for outcome in outcomes)
            lab.expect(kept == 2, None, f"with 2 places and no queue, {kept} of 12 calls went through")


async def check_gives_up(task, lab):
    """Who gives up frees a place, or leaves the queue, and its call is not made."""
    trial = await Trial(lab).opened(task, 1, 1)
    first = asyncio.create_task(trial.run(1, cancel_after=4.0))
    second = asyncio.create_task(trial.run(2, after=0.1, cancel_after=2.0))
    third = asyncio.create_task(trial.run(3, after=3.0))
    await asyncio.gather(first, second)
    made = trial.made()
    lab.expect(2 not in made, None, f"a call that left the queue at 2.1 s: calls {made} were made")
    outcome = await third
    what = "turned away" if rejected(outcome) else "let in"
    lab.expect(
        not rejected(outcome), None, f"a second after one had left the queue of 1, a newcomer was {what}"
    )
    began = next((call.start for call in trial.model.calls if call.args == (3,)), None)
    evidence = "the running call was given up at t = 4.00 s; the one that waited began "
    evidence += "never" if began is None else f"at {began:.2f} s"
    lab.expect(began is not None and began < 4.1, None, evidence)
    on = [call.args[0] for call in trial.model.calls if call.args == (1,) and call.outcome == "ok"]
    lab.expect(not on, None, f"{len(on)} calls whose caller had given up were run to their end")


async def check_failures(task, lab):
    """A call that fails frees its place."""
    trial = await Trial(lab, takes=1.0, failing=range(10)).opened(task, 2, 2)
    await trial.burst(4)
    outcomes = await trial.burst(4, first=10)
    good = sum(outcome.error is None and not outcome.hung for outcome in outcomes)
    if peak(trial.model.calls).count <= 2:
        lab.expect(good == 4, None, f"after 4 calls that failed, {good} of 4 went through")

import asyncio

from workbench.practice.probes import peak

FAST = {"docs": 0.3, "code": 0.5, "mail": 0.2, "wiki": 0.4}
MIXED = {"docs": 0.3, "slow": 9.0, "code": 0.2, "mail": 0.1, "wiki": 0.2, "tickets": 9.0, "chat": 0.3}
IN_TIME = ["docs", "code", "mail", "wiki"]  # of those, with two places; the turn of "chat" never comes


class SourceError(Exception):
    pass


class Trial:
    """Sources that answer after so many seconds; the one called "broken" raises."""

    def __init__(self, lab, seconds):
        self.services = {
            name: lab.service(self.answer(name), takes=takes, name=name) for name, takes in seconds.items()
        }
        self.lab, self.sources = lab, dict(self.services)

    def answer(self, name):
        return SourceError("503") if name == "broken" else f"{name} says"

    def under_way(self):
        return [call.name for call in self.lab.calls() if call.end is None]


def both(value):
    """Its two dicts; anything else ends the check."""
    answers, missing = value
    return dict(answers), dict(missing)


def is_timeout(error):
    return isinstance(error, TimeoutError) or (
        isinstance(error, ExceptionGroup) and error.subgroup(TimeoutError) is not None
    )


def told(names):
    return ", ".join(sorted(map(str, names))) or "none"


async def check_all_in(task, lab):
    """If every source answers in time, all answers come back."""
    trial = Trial(lab, FAST)
    outcome = await lab.call(task, trial.sources, "What is new?", 5.0, 2)
    answers, missing = both(outcome.value)
    right = answers == {name: f"{name} says" for name in FAST} and not missing
    lab.expect(right, None, f"answers from {told(answers)}; missing: {told(missing)}")
    asked = {call.args for call in lab.calls()}
    lab.expect(asked == {("What is new?",)}, None, f"the sources were asked {sorted(asked)!r}")


async def check_none(task, lab):
    """No sources are no special case."""
    value = (await lab.call(task, {}, "What is new?", 1.0, 2)).value
    lab.expect(both(value) == ({}, {}), None, f"for no sources it returned {value!r}")


async def check_partial(task, lab):
    """What is in at the deadline is kept."""
    loop = asyncio.get_running_loop()
    at, later = lab.spy(loop, "call_at"), lab.spy(loop, "call_later")
    trial = Trial(lab, MIXED)
    outcome = await lab.call(task, trial.sources, "What is new?", 1.0, 2)
    came = [call.name for call in lab.calls() if call.outcome == "ok" and call.end < 1.0]
    if is_timeout(outcome.error):
        ends = [when - outcome.start for when, *_ in at] + [delay for delay, *_ in later]
        count = sum(abs(end - 1.0) < 1e-6 for end in ends)  # no source takes 1 s
        evidence = (
            f"it raised {type(outcome.error).__name__} at t = {outcome.end:.2f} s, and {len(came)} answers "
            f"that were in are lost; timers set for the deadline: {count}"
        )
        lab.expect(False, "one_slow_fails_all" if count > 1 else "loses_partial", evidence)
        return
    answers, missing = both(outcome.value)
    evidence = f"within 1 s, {told(came)} had answered; answers came back from {told(answers)}"
    if not lab.expect(set(came) <= set(answers), "loses_partial", evidence) or outcome.seconds > 1.001:
        return
    if peak(lab.calls()).count > 2:
        return  # others than these are in time then
    lab.expect(sorted(answers) == sorted(IN_TIME), None, evidence)
    late = [name for name in MIXED if name not in IN_TIME]
    right = sorted(missing) == sorted(late) and all(
        isinstance(each, TimeoutError) for each in missing.values()
    )
    shown = ", ".join(f"{name}: {type(each).__name__}" for name, each in sorted(missing.items()))
    lab.expect(right, None, f"{told(late)} were late; missing is {shown or 'empty'}")


async def check_deadline(task, lab):
    """All of it together keeps to the deadline."""
    trial = Trial(lab, MIXED | {"archive": 9.0})
    outcome = await lab.call(task, trial.sources, "What is new?", 1.0, 2)
    longest = max((call.end - call.start for call in lab.calls() if call.end is not None), default=0.0)
    evidence = f"it ended after {outcome.seconds:.2f} s, the deadline was at 1.00 s"
    cut = longest < 1.001
    if cut:
        evidence = f"{evidence}; no source was asked for more than {longest:.2f} s"
    lab.expect(outcome.seconds < 1.001, "deadline_per_call" if cut else None, evidence)


async def check_left(task, lab):
    """What is too late does not go on."""
    trial = Trial(lab, MIXED)
    outcome = await lab.call(task, trial.sources, "What is new?", 1.0, 2)
    await asyncio.sleep(0.5)
    still = trial.under_way()
    evidence = f"{len(still)} sources were still being asked 0.5 s after it ended: {told(still)}"
    if lab.expect(not still, "losers_left", evidence):
        evidence = f"{len(outcome.left)} tasks are left {' '.join(outcome.left[:1])}".strip()
        lab.expect(not outcome.left, None, evidence)


async def check_failure(task, lab):
    """A source that fails is missing, with its reason, and disturbs no other."""
    trial = Trial(lab, {"docs": 0.3, "broken": 0.1, "code": 0.5})
    outcome = await lab.call(task, trial.sources, "What is new?", 2.0, 3)
    answers, missing = both(outcome.value)
    lab.expect(sorted(answers) == ["code", "docs"], None, f"one of 3 failed; answers from {told(answers)}")
    why = missing.get("broken")
    lab.expect(isinstance(why, SourceError), None, f"it raised SourceError, and missing tells {why!r}")


async def check_places(task, lab):
    """So many sources are asked at a time as may be, and nothing is waited for that is not needed."""
    trial = Trial(lab, FAST)
    outcome = await lab.call(task, trial.sources, "What is new?", 5.0, 2)
    top = peak(lab.calls())
    lab.expect(top.count <= 2, None, f"{top}, the limit is 2")
    evidence = f"it took {outcome.seconds:.2f} s, with two places 0.90 s are enough"
    lab.expect(outcome.seconds < 0.95, None, evidence)

import asyncio

PROMPT = "Which replica is this?"
DELAY = 0.5


class ReplicaError(Exception):
    pass


class Trial:
    """Two replicas: each answers, or fails, after so many seconds."""

    def __init__(self, lab, first, second, failing=""):
        self.lab, self.names = lab, ("first", "second")
        self.first, self.second = (
            lab.service(
                ReplicaError(f"{name} is down") if name in failing.split() else f"{name} says",
                takes=takes,
                name=name,
            )
            for name, takes in (("first", first), ("second", second))
        )
        self.hedge_at = DELAY

    async def run(self, task, **options):
        outcome = await self.lab.call(task, self.first, self.second, PROMPT, DELAY, within=60.0, **options)
        self.began = outcome.start
        return outcome

    def asked(self):
        """When the second replica was asked, in seconds from the beginning; None: never."""
        return self.second.calls[0].start - self.began if self.second.calls else None

    def said(self):
        return "was never asked" if self.asked() is None else f"was asked at t = {self.asked():.2f} s"

    def early(self, earliest):
        """Whether the second was asked before its time; if so, that is judged."""
        right = self.asked() is None or self.asked() >= earliest - 1e-6
        evidence = f"the second replica {self.said()}, the delay is {DELAY} s"
        return not self.lab.expect(right, "hedge_at_zero", evidence)

    def under_way(self):
        return [call.name for call in self.lab.calls() if call.end is None]


async def check_fast(task, lab):
    """If the first answers in time, nobody else is asked."""
    trial = Trial(lab, 0.3, 0.3)
    outcome = await trial.run(task)
    lab.expect(
        outcome.value == "first says", None, f"the first replica answered; it returned {outcome.value!r}"
    )
    lab.expect(
        len(trial.first.calls) == 1, None, f"the first replica was asked {len(trial.first.calls)} times"
    )
    lab.expect(
        abs(outcome.seconds - 0.3) < 0.01,
        None,
        f"an answer of 0.30 s was returned after {outcome.seconds:.2f} s",
    )
    trial.early(DELAY)
    asked = {call.args for call in lab.calls()}
    lab.expect(asked == {(PROMPT,)}, None, f"the replicas were asked {sorted(asked)!r}")


async def check_slow(task, lab):
    """If the first is slow, the second is asked after the delay, and the first answer wins."""
    for first, second, winner, seconds in ((3.0, 0.4, "second", 0.9), (0.8, 2.0, "first", 0.8)):
        trial = Trial(lab, first, second)
        outcome = await trial.run(task)
        if trial.early(DELAY):
            return
        asked = trial.asked()
        on_time = asked is not None and abs(asked - DELAY) < 0.01
        lab.expect(on_time, None, f"the second replica {trial.said()}, the delay is {DELAY} s")
        evidence = (
            f"{winner} was to win at {seconds:.2f} s; at {outcome.seconds:.2f} s came {outcome.value!r}"
        )
        won = outcome.value == f"{winner} says" and abs(outcome.seconds - seconds) < 0.01
        lab.expect(won, None, evidence)
        times = [len(trial.first.calls), len(trial.second.calls)]
        lab.expect(max(times) == 1, None, f"the replicas were asked {times[0]} and {times[1]} times")


async def check_failure_is_no_answer(task, lab):
    """A failure does not win while the other replica is at work."""
    for first, second, failing, winner in ((0.8, 1.0, "first", "second"), (2.0, 0.3, "second", "first")):
        trial = Trial(lab, first, second, failing)
        outcome = await trial.run(task)
        if trial.early(DELAY) or trial.asked() is None:
            return
        other = next(call for call in lab.calls() if call.name == winner and call.start >= trial.began)
        if other.end is not None and other.end < trial.began + 0.8:
            return  # it was cancelled already
        evidence = f"{failing} failed at t = 0.80 s, {winner} was at work, and "
        if isinstance(outcome.error, Exception):
            evidence += f"{type(outcome.error).__name__} came out at t = {outcome.seconds:.2f} s"
            lab.expect(False, "first_failure_wins", evidence)
        else:
            evidence += f"it returned {outcome.value!r}"
            lab.expect(outcome.value == f"{winner} says", None, evidence)


async def check_fails_fast(task, lab):
    """If the first fails before the delay, the second is asked at once."""
    trial = Trial(lab, 0.1, 0.3, "first")
    outcome = await trial.run(task)
    if trial.early(0.1):
        return
    asked = trial.asked()
    evidence = f"the first replica failed at t = 0.10 s, and the second {trial.said()}"
    if lab.expect(asked is not None and asked < 0.11, "fast_failure_not_hedged", evidence):
        lab.expect(outcome.value == "second says", None, f"{evidence}; it returned {outcome.value!r}")


async def check_loser(task, lab):
    """When one has won, the other is not left at work."""
    for first, second, winner in ((6.0, 0.4, "second"), (0.8, 6.0, "first")):
        trial = Trial(lab, first, second)
        outcome = await trial.run(task)
        await asyncio.sleep(0.1)
        on = trial.under_way()
        evidence = (
            f"{winner} won at t = {outcome.seconds:.2f} s, and 0.1 s later {len(on)} of the two were at work"
        )
        if not lab.expect(not on, "loser_not_cancelled", evidence):
            return
        loser = next(
            (call for call in lab.calls() if call.name != winner and call.start >= trial.began), None
        )
        done = loser is not None and loser.outcome == "ok"
        evidence = (
            f"{winner} won, and the other {'was left to finish its answer' if done else 'was cancelled'}"
        )
        if not lab.expect(not done, "loser_not_cancelled", evidence):
            return
        left = outcome.left
        lab.expect(not left, None, f"{len(left)} tasks are left {' '.join(left[:1])}".strip())


async def check_both_fail(task, lab):
    """If both fail, the error comes out when both have."""
    for first, second, seconds in ((0.1, 0.3, 0.4), (0.8, 0.9, 1.4), (2.0, 0.3, 2.0)):
        outcome = await Trial(lab, first, second, "first second").run(task)
        error = outcome.error
        group = isinstance(error, BaseExceptionGroup) and error.subgroup(ReplicaError)
        right = isinstance(error, ReplicaError) or bool(group)
        what = type(error).__name__ if error else f"{outcome.value!r}"
        evidence = (
            f"both failed, the later one at {seconds:.2f} s; {what} came out at {outcome.seconds:.2f} s"
        )
        lab.expect(right and abs(outcome.seconds - seconds) < 0.01, None, evidence)


async def check_caller_gives_up(task, lab):
    """When the caller gives up, both replicas are cancelled."""
    for after in (0.2, 0.9):
        trial = Trial(lab, 6.0, 6.0)
        outcome = await trial.run(task, cancel_after=after)
        await asyncio.sleep(0.1)
        on = trial.under_way()
        evidence = (
            f"the caller gave up at t = {after:.2f} s, and 0.1 s later {len(on)} of the two were at work"
        )
        if not lab.expect(not on, "loser_not_cancelled", evidence):
            return
        what = type(outcome.error).__name__ if outcome.error else f"{outcome.result!r}"
        lab.expect(outcome.cancelled, None, f"the caller gave up at t = {after:.2f} s, and {what} came out")

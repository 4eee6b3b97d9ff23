import asyncio
import gc
import random
import tracemalloc

KEPT = 100  # bytes for each user who is gone: less than the text of a name


def refused(outcome):
    return type(outcome.error).__name__ == "TooManyCalls"


class Users:
    """A limiter of 5 calls in 10 s, and a note of which calls began."""

    def __init__(self, task, lab, takes=0.0):
        self.lab = lab
        self.service = lab.service("answer", takes=takes, name="fn")
        self.limiter = task(lab.now, 5, 10.0)

    async def ask(self, user="ann"):
        outcome = await self.lab.call(self.limiter.call, user, self.service)
        if not refused(outcome):
            outcome.value
        return outcome

    async def at(self, *times, user="ann"):
        """Call at these times, from now on; give those at which a call went through."""
        start, through = self.lab.now(), []
        for time in times:
            await asyncio.sleep(start + time - self.lab.now())
            before = len(self.service.calls)
            outcome = await self.ask(user)
            if len(self.service.calls) > before and not refused(outcome):
                through.append(time)
        return through


def most_in_a_window(times):
    """(how many of them are in one span of just less than 10 s, where it begins)."""
    return max(((sum(start <= at < start + 9.99 for at in times), -start) for start in times), default=(0, 0))


def told(times):
    return ", ".join(f"{at:g}" for at in times) or "none"


async def check_steady(task, lab):
    """A user who calls again and again gets 5 calls in 10 s, and the others are refused."""
    users = Users(task, lab)
    through = await users.at(*[round(0.6 * number, 1) for number in range(40)])
    wanted = [round(start + 0.6 * number, 1) for start in (0, 10.2, 20.4) for number in range(5)]
    went = len(users.service.calls)
    evidence = f"a call every 0.6 s for 24 s: {went} went through"
    if lab.expect(went == 15, None, f"{evidence}, 15 are right"):
        lab.expect(through == wanted, None, f"{evidence}, at {told(through)} s")


async def check_users(task, lab):
    """Each user has a limit of their own, and results and errors come out as they are."""
    users = Users(task, lab)
    await users.at(*[0] * 5, user="ann")
    got = len(await users.at(*[0] * 5, user="bob"))
    lab.expect(got == 5, None, f"ann has used up her calls, and {got} of bob's 5 went through")
    value = (await users.ask("cy")).value
    lab.expect(value == "answer", None, f"fn() gave 'answer', and call() gave {value!r}")
    failing = lab.service(LookupError("nothing there"), takes=0.0, name="fn")
    outcomes = [await lab.call(users.limiter.call, "dan", failing) for _ in range(7)]
    kinds = [type(outcome.error).__name__ for outcome in outcomes]
    raised = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    right = kinds == ["LookupError"] * 5 + ["TooManyCalls"] * 2
    lab.expect(right, None, f"fn() raised LookupError, and 7 calls of it {' and '.join(raised)}")


def exact(times):
    """Those of the times that a limit of 5 in 10 s lets through."""
    through = []
    for at in times:
        if sum(at - earlier < 10 for earlier in through) < 5:
            through.append(at)
    return through


async def check_edges(task, lab):
    """The limit holds in every span of time, wherever it begins."""
    chance = random.Random(7)
    irregular = [round(start + chance.uniform(0, 3), 2) for start in range(0, 60, 3) for _ in range(3)]
    for times in (
        [9.1, 9.3, 9.5, 9.7, 9.9, 10.1, 10.3, 10.5, 10.7, 10.9],
        [0.2, 9, 9.2, 9.4, 9.6, 10.4, 10.6, 10.8, 11, 11.2],
        sorted(irregular),
    ):
        users = Users(task, lab)
        await asyncio.sleep(10 - lab.now() % 10)
        through = await users.at(*times)
        count, start = most_in_a_window(through)
        evidence = f"{count} calls went through in the 10 s from t = {-start:g} s, the limit is 5"
        if not lab.expect(count <= 5, "fixed_windows", evidence):
            return
        evidence = f"of {len(times)} calls in {times[-1] - times[0]:.1f} s {len(through)} went through"
        wanted = exact(times)
        if wrong := sorted(set(through) ^ set(wanted)):
            went = "went through" if wrong[0] in through else "was refused"
            evidence += f"; of those at {told(times[: times.index(wrong[0]) + 1])} s the last one {went}"
        lab.expect(through == wanted, None, evidence)


async def check_together(task, lab):
    """Calls that come together are counted one by one, and run together."""
    users = Users(task, lab, takes=1.0)
    await asyncio.gather(*(users.ask() for _ in range(12)))
    calls = users.service.calls
    evidence = f"12 calls of one user at once: {len(calls)} began within 10 s, the limit is 5"
    if lab.expect(len(calls) <= 5, "check_then_add", evidence):
        last = max((call.start for call in calls), default=0.0)
        evidence = f"12 calls of one user at once: {len(calls)} went through, the last began at {last:.2f} s"
        lab.expect(len(calls) == 5 and last < 0.01, None, evidence)


async def check_memory(task, lab):
    """Users who are gone cost no memory."""
    limiter, each = task(lab.now, 5, 10.0), 150

    async def fn():
        return None

    async def visitors(turn):
        for number in range(each):
            await limiter.call(f"visitor {turn}.{number}".ljust(120, "~"), fn)
        await asyncio.sleep(25)

    async def service():
        for turn in range(2):
            await visitors(turn)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for turn in range(2, 6):
            await visitors(turn)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    outcome = await lab.call(service)
    tracemalloc.stop()
    grown = outcome.value
    more = "more" if grown > KEPT * 4 * each else "less"
    evidence = f"600 users called once, and were gone: {more} than {KEPT} bytes are kept for each of them"
    lab.expect(grown <= KEPT * 4 * each, "never_purged", evidence)

from workbench.errors import ConfigurationError
from workbench.practice.probes import peak
from workbench.simulator import Simulator

PROMPTS = [f"Question {number}" for number in range(16)]
WORDS = [(40 if number % 4 == 0 else 6) + number for number in range(16)]  # one of four takes long
REFUSED = ("Question 4", "Question 5")


def answer(request):
    if request.text in REFUSED:
        raise ConfigurationError("this prompt is refused")
    return " ".join([request.text, *["word"] * WORDS[PROMPTS.index(request.text)]])


def text_of(prompt):
    return " ".join([prompt, *["word"] * WORDS[PROMPTS.index(prompt)]])


def ideal(calls, limit):
    """The time that it takes if each call begins as soon as one of `limit` places is free."""
    free = [0.0] * limit
    for call in calls:
        free[free.index(min(free))] += call.end - call.start
    return max(free)


LOOKS = []


class Limit(int):
    """A limit that writes down each look at it."""


def counted(name):
    def look(self, *others):
        LOOKS.append(name)
        return getattr(int, name)(self, *others)

    return look


for each in ("lt", "le", "gt", "ge", "eq", "add", "sub", "radd", "rsub", "index", "bool"):
    setattr(Limit, f"__{each}__", counted(f"__{each}__"))


async def bound_of_its_own(task, lab):
    """Whether each call looks at the limit by itself, and would wait for it for ever if it were 0."""
    simulator = Simulator(script=answer)  # the lab does not know it: these calls stay out of the timeline
    client = simulator.openai(max_retries=0)
    await lab.call(task, client, PROMPTS[6:10], Limit(1))
    looks = len(LOOKS)
    sent = len(simulator.log)
    await lab.call(task, client, PROMPTS[6:10], 0, within=60)
    return looks >= 4 and len(simulator.log) == sent


async def check_bound(task, lab):
    """At most `limit` requests are in flight."""
    simulator = lab.simulator(script=answer)
    await lab.call(task, simulator.openai(max_retries=0), PROMPTS, 5)
    top = peak(lab.calls(simulator))
    mistake, also = "unbounded_gather" if top.count == len(PROMPTS) else None, ""
    if mistake and await bound_of_its_own(task, lab):
        mistake, also = "semaphore_per_call", "; each call has a bound of its own, so there are 16 of them"
    lab.expect(top.count <= 5, mistake, f"{top}, the limit is 5{also}")


async def check_time(task, lab):
    """A place that becomes free is used at once."""
    simulator = lab.simulator(script=answer)
    outcome = await lab.call(task, simulator.openai(max_retries=0), PROMPTS[6:], 4)
    outcome.value
    calls = lab.calls(simulator)
    top, best = peak(calls), ideal(calls, 4)
    mistake = "one_by_one" if top.count == 1 else None
    evidence = (
        f"{outcome.seconds:.2f} s for 10 prompts, at most {top}; {best:.2f} s are possible with 4 places"
    )
    lab.expect(outcome.seconds < 1.1 * best, mistake, evidence)


async def check_results(task, lab):
    """The answers are in the order of the prompts."""
    simulator = lab.simulator(script=answer)
    prompts = PROMPTS[6:]
    value = (await lab.call(task, simulator.openai(max_retries=0), prompts, 4)).value
    wanted = [text_of(prompt) for prompt in prompts]
    got = list(value)
    if sorted(map(str, got)) == sorted(wanted):
        places = sum(mine == right for mine, right in zip(got, wanted, strict=True))
        lab.expect(
            got == wanted, "completion_order", f"{places} of 10 answers are at the place of their prompt"
        )
    else:
        lab.expect(False, None, f"for 10 prompts it returned {got!r}")


async def check_failure(task, lab):
    """A call that fails is a value, and disturbs no other."""
    simulator = lab.simulator(script=answer)
    outcome = await lab.call(task, simulator.openai(max_retries=0), PROMPTS[:8], 2)
    calls = lab.calls(simulator)
    if any(call.outcome == "error" for call in calls) and (
        outcome.hung or isinstance(outcome.error, Exception)
    ):
        answered = sum(call.outcome == "ok" for call in calls)
        ended = "it never ended" if outcome.hung else f"it raised {type(outcome.error).__name__}"
        evidence = f"{ended}, and {answered} answers that had come are lost"
        lab.expect(False, "one_failure_loses_all", evidence)
        return
    failed = [index for index, each in enumerate(outcome.value) if isinstance(each, Exception)]
    kept = sum(text_of(prompt) in outcome.value for prompt in PROMPTS[:8] if prompt not in REFUSED)
    evidence = f"2 of 8 calls failed, and {kept} of the 6 other answers came back"
    if lab.expect(kept == 6, "one_failure_loses_all", evidence):
        lab.expect(len(failed) == 2, None, f"{len(failed)} of the 8 results are exceptions, 2 calls failed")


async def check_edges(task, lab):
    """No prompts, or fewer than the limit, are no special case, and nothing is left behind."""
    client = lab.simulator(script=answer).openai(max_retries=0)
    value = (await lab.call(task, client, [], 4)).value
    lab.expect(value is not None and list(value) == [], None, f"for no prompts it returned {value!r}")
    outcome = await lab.call(task, client, PROMPTS[:2], 8)
    got = list(outcome.value)
    lab.expect(
        got == [text_of(prompt) for prompt in PROMPTS[:2]],
        None,
        f"for 2 prompts it returned {len(got)} results",
    )
    lab.expect(
        not outcome.left, None, f"{len(outcome.left)} tasks are left {' '.join(outcome.left[:1])}".strip()
    )

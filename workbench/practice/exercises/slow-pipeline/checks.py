import time

QUESTIONS = [f"Question {number}" for number in range(40)]
SLOW = (QUESTIONS[7], QUESTIONS[23])  # two of forty


def steady(seconds):
    return lambda value: seconds


def at_times(usual, slow):
    return lambda value: slow if value.startswith(SLOW) and value[11:12] in ("", ">") else usual


class Pipeline:
    """Stages that take the seconds that are said, each of them and its stand-in, and mark what they return.

    Args:
        lab: that measures.
        times: of each stage: before and after, both functions of the value; whether it computes; and whether
            its stand-in changes answers.
    """

    def __init__(self, lab, **times):
        self.computed = 0.0
        self.stages, self.spares, self.calls = {}, {}, 0
        for name, (before, after, computes, changes) in times.items():
            self.stages[name] = self.stage(lab, name, before, computes, changes=False)
            self.spares[name] = self.stage(lab, name, after, computes, changes=changes)

    def stage(self, lab, name, takes, computes, *, changes):
        def result(value):
            return f"{value}>{name}" + ("?" if changes and value.startswith(QUESTIONS[31]) else "")

        service = lab.service(result, takes=takes, name=name, blocking=computes)

        async def run(value):
            self.calls += 1
            if not computes:
                return await service(value)
            self.computed += takes(value)
            return service(value)

        return run

    async def chosen(self, task, lab):
        time.process_time = lambda: self.computed
        time.thread_time = time.process_time
        time.process_time_ns = time.thread_time_ns = lambda: int(self.computed * 1e9)
        task = lab.load()
        outcome = await lab.call(task, self.stages, self.spares, QUESTIONS, within=1e6)
        return outcome.value


async def check_bottleneck(task, lab):
    """The stage that takes most of the time is chosen."""
    pipeline = Pipeline(
        lab,
        embed=(steady(0.06), steady(0.03), False, False),
        answer=(steady(2.0), steady(1.2), True, False),
        parse=(steady(0.02), steady(0.001), False, False),
    )
    got = await pipeline.chosen(task, lab)
    saved = {"embed": 0.03, "answer": 0.8, "parse": 0.019}
    evidence = f"it chose {got!r}, which saves {saved.get(got, 0):g} s of 2.08 s; 'answer' saves 0.8 s"
    mistake = "not_the_bottleneck" if got in ("embed", "parse") else None
    lab.expect(got == "answer", mistake, evidence)


async def check_waiting(task, lab):
    """Waiting counts as much as computing."""
    pipeline = Pipeline(
        lab,
        search=(steady(1.5), steady(0.5), False, False),
        rerank=(steady(0.4), steady(0.1), True, False),
    )
    got = await pipeline.chosen(task, lab)
    evidence = f"it chose {got!r}; 'search' waits 1.5 s and could wait 0.5 s, 'rerank' computes for 0.4 s"
    lab.expect(got == "search", "cpu_time" if got == "rerank" else None, evidence)


async def check_saving(task, lab):
    """What counts is what the stand-in saves, and not how long the stage takes."""
    pipeline = Pipeline(
        lab,
        answer=(steady(2.0), steady(1.9), False, False),
        search=(steady(1.0), steady(0.3), False, False),
    )
    got = await pipeline.chosen(task, lab)
    saved = {"answer": 0.1, "search": 0.7}
    evidence = f"it chose {got!r}, which saves {saved.get(got, 0):g} s of 3 s; 'search' saves 0.7 s"
    lab.expect(got == "search", None, evidence)


async def check_tail(task, lab):
    """The slowest answers decide."""
    pipeline = Pipeline(
        lab,
        search=(at_times(0.2, 6.0), steady(0.2), False, False),
        answer=(steady(1.5), steady(0.8), False, False),
    )
    got = await pipeline.chosen(task, lab)
    evidence = (
        f"it chose {got!r}; 'search' takes 6 s in 2 of 40 questions and would take 0.2 s, "
        "'answer' always takes 1.5 s and would take 0.8 s"
    )
    lab.expect(got == "search", "mean_not_p99" if got == "answer" else None, evidence)


async def check_results(task, lab):
    """What changes an answer is not chosen."""
    pipeline = Pipeline(
        lab,
        search=(steady(1.0), steady(0.4), False, False),
        answer=(steady(3.0), steady(0.5), False, True),
    )
    got = await pipeline.chosen(task, lab)
    evidence = f"it chose {got!r}; the stand-in of 'answer' changes one answer of 40"
    lab.expect(got == "search", "results_change" if got == "answer" else None, evidence)

import asyncio
import json


class UpstreamError(Exception):
    pass


def request(text="Why?", **more):
    return {"model": "gpt-5.5", "temperature": 0, "messages": [{"role": "user", "content": text}], **more}


def said(question):
    return json.dumps(question, sort_keys=True)


class Trial:
    """A single flight in front of an upstream that takes a second, and fails while it is `down`."""

    def __init__(self, lab):
        self.lab, self.down = lab, False
        self.fetch = lab.service(self.answer, takes=1.0, name="fetch")

    def answer(self, question):
        return UpstreamError("503") if self.down else f"{len(self.fetch.calls)}: {said(question)}"

    async def opened(self, task, ttl=10.0):
        self.flight = (await self.lab.call(task, self.fetch, ttl)).value
        return self

    async def get(self, question=None, **options):
        return await self.lab.call(self.flight.get, question or request(), within=60.0, **options)

    async def many(self, count):
        return await asyncio.gather(*(self.get() for _ in range(count)))

    @property
    def calls(self):
        return len(self.fetch.calls)


def right_answer(outcome, question=None):
    return isinstance(outcome.value, str) and outcome.value.endswith(f": {said(question or request())}")


async def check_answers(task, lab):
    """An answer is fetched, and is good for its time."""
    trial, question = await Trial(lab).opened(task), request()
    for later, calls in ((0, 1), (8, 1), (3, 2)):
        await asyncio.sleep(later)
        outcome = await trial.get(question)
        good = right_answer(outcome)
        came = "its own" if good else f"{outcome.value!r}, to {said(question)}"
        lab.expect(good, None, f"at t = {outcome.start:.0f} s the answer to a request was {came}")
        evidence = (
            f"{trial.calls} calls by t = {outcome.end:.0f} s, {calls} are right: an answer is good for 10 s"
        )
        lab.expect(trial.calls == calls, None, evidence)


async def check_one_call(task, lab):
    """Equal requests at the same time make one call, also when an answer has just expired."""
    trial = await Trial(lab).opened(task)
    for when in ("no answer was there", "the answer had expired"):
        before = trial.calls
        outcomes = await trial.many(20)
        evidence = f"{when}, and 20 equal requests at once made {trial.calls - before} calls"
        if not lab.expect(trial.calls - before <= 1, "stampede", evidence):
            return
        good = sum(map(right_answer, outcomes))
        lab.expect(good == 20, None, f"{good} of 20 waiters got the answer")
        await asyncio.sleep(10.5)


async def check_joins(task, lab):
    """Who comes while a call is under way waits for that call, and other requests wait for nobody."""
    trial = await Trial(lab).opened(task)
    early = asyncio.create_task(trial.get())
    await asyncio.sleep(0.7)
    late, other = await asyncio.gather(trial.get(), trial.get(request("How?")))
    await early
    evidence = f"a request that came 0.7 s after an equal one had its answer {late.seconds:.2f} s later"
    lab.expect(late.seconds < 0.35 and right_answer(late), None, evidence)
    evidence = (
        f"{trial.calls} calls were made for 2 different requests, the second took {other.seconds:.2f} s"
    )
    lab.expect(other.seconds < 1.1 and right_answer(other, request("How?")), None, evidence)


async def check_key(task, lab):
    """A request gets the answer to itself, and to no other."""
    base = request(seed=-1, stop=["a", "b"])
    two = {"messages": [{"role": "user", "content": "ab"}, {"role": "user", "content": "c"}]}
    pairs = [
        ("the question", request("Why?"), request("How?")),
        ("the model", request(), request(model="gpt-5.5-mini")),
        ("the temperature", request(), request(temperature=1)),
        ("max_tokens", request(max_tokens=10), request(max_tokens=20)),
        ("the seed, -1 and -2", base, {**base, "seed": -2}),
        ("the role", request(), request() | {"messages": [{"role": "system", "content": "Why?"}]}),
        (
            "where one message ends",
            request() | two,
            request() | {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "bc"}]},
        ),
    ]
    for what, one, other in pairs:
        trial = await Trial(lab).opened(task)
        outcomes = [await trial.get(one), await trial.get(other)]
        mixed = outcomes[0].value == outcomes[1].value
        evidence = f"two requests that differ in {what} made {trial.calls} calls"
        if mixed:
            evidence += f", and the second got the answer to the first: {outcomes[1].value!r}"
        if not lab.expect(not mixed, "weak_key", evidence):
            return
    for what, other in (
        ("a copy of it", request()),
        ("its keys in another order", dict(reversed(request().items()))),
        (
            "a message's keys in another order",
            request() | {"messages": [dict(reversed(each.items())) for each in request()["messages"]]},
        ),
    ):
        trial, one = await Trial(lab).opened(task), request()
        await trial.get(one)
        await trial.get(one)
        before = trial.calls
        await trial.get(other)
        evidence = f"the same request again, {what}, made {trial.calls - before} more calls"
        if before == 1 and not lab.expect(trial.calls == 1, "weak_key", evidence):
            return


async def check_failure(task, lab):
    """A failure reaches all who wait for it, and is not kept."""
    trial = await Trial(lab).opened(task)
    trial.down = True
    outcomes = await trial.many(3)
    calls, trial.down = trial.calls, False
    await asyncio.sleep(0.5)
    outcome = await trial.get()
    if outcome.hung or outcome.error is not None:
        what = "hung" if outcome.hung else f"raised {type(outcome.error).__name__}"
        evidence = f"0.5 s after a call had failed, a request made {trial.calls - calls} new calls and {what}"
        if not lab.expect(trial.calls > calls, "exception_cached", evidence):
            return
    good = right_answer(outcome)
    came = "a new answer" if good else repr(outcome.value)
    lab.expect(good, None, f"0.5 s after a call had failed, it returned {came}")
    got = sum(isinstance(each.error, UpstreamError) for each in outcomes)
    lab.expect(got == 3, None, f"a call failed, and {got} of the 3 who waited for it got its exception")


async def check_cancellation(task, lab):
    """One who waits may give up, and the call goes on for the others."""
    for place, who in ((0, "first"), (1, "second"), (2, "last")):
        trial = await Trial(lab).opened(task)
        waiters = [
            asyncio.create_task(trial.get(cancel_after=0.4 if number == place else None))
            for number in range(3)
        ]
        outcomes = await asyncio.gather(*waiters)
        others = [outcome for number, outcome in enumerate(outcomes) if number != place]
        served = sum(isinstance(each.result, str) for each in others)
        cut = sum(call.outcome == "cancelled" for call in trial.fetch.calls)
        evidence = (
            f"the {who} of 3 waiters gave up at 0.4 s: {cut} of {trial.calls} calls cancelled, "
            f"{served} of the 2 others have their answer"
        )
        if not lab.expect(served == 2 and not cut, "waiter_kills_call", evidence):
            return
        gave_up = outcomes[place]
        evidence = f"the {who} of 3 waiters gave up at 0.4 s, and its get ended at {gave_up.seconds:.2f} s"
        lab.expect(gave_up.cancelled and gave_up.seconds < 0.5, None, evidence)
        lab.expect(trial.calls == 1, None, f"3 equal requests at once made {trial.calls} calls")

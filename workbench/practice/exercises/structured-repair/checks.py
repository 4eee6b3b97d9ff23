from workbench.errors import ConfigurationError

TEXT = "We stay in Zürich for three days. What will the weather be?"
RIGHT = '{"city": "Zürich", "days": 3}'
NO_JSON = "Sure! You asked about Zürich."
MISSING = '{"city": "Zürich"}'
TOO_MANY = '{"city": "Zürich", "days": 30}'


class Model:
    """A model that says the given answers in turn, the last one for ever; it keeps the requests."""

    def __init__(self, lab, *answers):
        self.requests, self.answers = [], answers
        self.client = lab.simulator(script=self.answer, ttft=0.2).openai(max_retries=0)

    def answer(self, request):
        self.requests.append(request)
        if len(self.requests) == 20:
            raise ConfigurationError("the model has had enough")
        return self.answers[min(len(self.requests), len(self.answers)) - 1]

    async def asked(self, task, lab, repairs=2):
        return await lab.call(task, self.client, TEXT, repairs)

    def said(self, number):
        """What the request of that number says, from the user's side, after the model's last answer."""
        messages = self.requests[number].messages
        last = max((n for n, each in enumerate(messages) if each.role == "assistant"), default=-1)
        return "\n".join(each.content for each in messages[last + 1 :]) if last >= 0 else ""


async def check_right(task, lab):
    """An answer that is right is returned, and asked for once."""
    model = Model(lab, RIGHT)
    outcome = await model.asked(task, lab)
    count = len(model.requests)
    evidence = f"{RIGHT} became {outcome.value!r} after {count} requests"
    lab.expect(tuple(outcome.value) == ("Zürich", 3) and count == 1, None, evidence)
    shown = any("Zürich" in each.content for each in model.requests[0].messages)
    lab.expect(shown, None, "the text is in the prompt" if shown else "the text is not in the prompt")


async def check_bound(task, lab):
    """There are at most so many repairs."""
    for repairs in (2, 0):
        model = Model(lab, MISSING)
        outcome = await lab.call(task, model.client, TEXT, repairs, within=60)
        count = len(model.requests)
        evidence = f"{count} requests in {outcome.seconds:.1f} s, {repairs} repairs were allowed"
        if not lab.expect(count <= repairs + 1, "unbounded_repair", evidence):
            return
        lab.expect(count == repairs + 1, None, evidence)


async def check_feedback(task, lab):
    """The model is told what it said, and what is wrong with it."""
    heard = set()
    for wrong, word in ((MISSING, "days"), (TOO_MANY, "days"), (NO_JSON, "json")):
        model = Model(lab, wrong, RIGHT)
        outcome = await model.asked(task, lab)
        if not lab.expect(len(model.requests) == 2, None, f"{len(model.requests)} requests, 2 were needed"):
            return
        shown = any(wrong in each.content for each in model.requests[1].messages)
        told = model.said(1) or model.requests[1].messages[-1].content
        named = word in told.lower() and told != model.requests[0].messages[-1].content
        how = ("" if shown else "its own answer is not shown; ") + f"it is told {told[:80]!r}"
        evidence = f"after {wrong[:32]!r} {how}"
        if not lab.expect(shown and named, "error_not_fed_back", evidence):
            return
        same = tuple(outcome.value) == ("Zürich", 3)
        lab.expect(same, None, f"the repaired answer became {outcome.value!r}")
        heard.add(told)
    evidence = (
        f"of a field that is missing, one that is too large and no JSON it was told in {len(heard)} ways"
    )
    lab.expect(len(heard) > 1, "error_not_fed_back", evidence)


async def check_types(task, lab):
    """What has another type is wrong, even where Python could make do with it."""
    for wrong in ('{"city": "Zürich", "days": true}', '{"city": "Zürich", "days": "3"}'):
        model = Model(lab, wrong, RIGHT)
        outcome = await model.asked(task, lab)
        count = len(model.requests)
        taken = outcome.value if count == 1 else "refused"
        if not lab.expect(
            count == 2,
            "bool_as_int",
            f"{wrong} was taken as {taken!r}" if count == 1 else f"{wrong} was {taken}",
        ):
            return
    for wrong in (
        '{"city": "", "days": 3}',
        '{"city": "Zürich", "days": 0}',
        '{"city": "Zürich", "days": 3.5}',
        '{"city": 8, "days": 3}',
        '{"city": "Zürich", "days": 3, "hours": 2}',
        "[3]",
        "null",
    ):
        model = Model(lab, wrong, RIGHT)
        outcome = await model.asked(task, lab)
        count = len(model.requests)
        right = count == 2 and outcome.error is None
        lab.expect(right, None, f"{wrong}: {count} requests, 2 were needed")


async def check_raw(task, lab):
    """What could not be repaired is told with the model's own words."""
    last = '{"city": "Zürich", "days": "a few of them"}'
    model = Model(lab, NO_JSON, last)
    outcome = await model.asked(task, lab, 1)
    kind = type(outcome.error).__name__
    lab.expect(isinstance(outcome.error, ValueError), None, f"{kind} came out, a ValueError is right")
    kept = last in str(outcome.error)
    evidence = (
        f"{len(str(outcome.error))} characters came out, {'with' if kept else 'without'} the last answer"
    )
    lab.expect(kept, "raw_output_lost", evidence)

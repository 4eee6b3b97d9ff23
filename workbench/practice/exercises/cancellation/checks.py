import asyncio
import contextlib

SECONDS = {"fast": 0.4, "even": 1.0, "slow": 2.0, "slower": 3.0, "bad": 0.6}
QUESTIONS = ["slow", "fast", "slower", "even"]
HANGS_UP = 0.1


class QuestionError(Exception):
    pass


class Connection:
    """What connect() gives: it notes what is going on on it when it is closed."""

    def __init__(self, lab):
        self.lab, self.busy, self.closed = lab, 0, []
        self.ended = []  # when each ask came to its end, hanging up included
        self.service = lab.service(self.answer, takes=SECONDS.get, name="ask")

    def answer(self, question):
        return QuestionError("refused") if question == "bad" else f"{question}!"

    async def connect(self):
        await asyncio.sleep(0.05)
        return self

    async def ask(self, question):
        self.busy += 1
        try:
            return await self.service(question)
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(HANGS_UP)
            raise
        finally:
            self.busy -= 1
            self.ended.append(self.lab.now())

    async def close(self):
        self.closed.append(self.busy)
        await asyncio.sleep(0.02)

    def calls(self):
        return self.lab.calls(self.service)


async def left_nothing(lab, connection, outcome, when):
    """Judge what is left after its end; True if nothing is."""
    end, asked, busy = outcome.end, list(connection.calls()), connection.busy
    await asyncio.sleep(4)
    on = [call for call in asked if call.outcome == "ok" and call.end > end]
    evidence = f"{when}, it ended at t = {end:.2f} s, and {len(on)} of its questions were answered after that"
    if not lab.expect(not on, "orphan_tasks", evidence):
        return False
    under, gone = max(connection.closed, default=0), max(connection.ended, default=0.0)
    evidence = f"{when}; the connection was closed with {under} of its questions still hanging up"
    if not under:
        evidence = f"{when}, and it ended with {busy} of its questions still hanging up"
    if not lab.expect(not under and gone <= end + 1e-6, "cancel_without_await", evidence):
        return False
    times = len(connection.closed)
    evidence = f"{when}, and the connection was closed {times} times"
    if not lab.expect(times > 0, "no_finally", evidence):
        return False
    lab.expect(times == 1, None, evidence)
    evidence = f"{len(outcome.left)} tasks are left {' '.join(outcome.left[:1])}".strip()
    lab.expect(not outcome.left, None, evidence)
    return True


async def check_answers(task, lab):
    """All questions are asked at once, and the answers come in their order."""
    for questions, longest in ((QUESTIONS, 3.0), (["fast"], 0.4)):
        connection = Connection(lab)
        outcome = await lab.call(task, connection.connect, questions)
        wanted = [f"{question}!" for question in questions]
        got = outcome.value
        lab.expect(got is not None and list(got) == wanted, None, f"for {questions} it returned {got!r}")
        evidence = f"it took {outcome.seconds:.2f} s, the longest of the questions takes {longest:.1f} s"
        lab.expect(outcome.seconds < longest + 0.2, None, evidence)
        times, under = len(connection.closed), sum(connection.closed)
        evidence = f"the connection was closed {times} times, with {under} questions under way"
        lab.expect(connection.closed == [0], None, evidence)


async def check_caller_gives_up(task, lab):
    """When the caller gives up, all is cleaned up, and the cancellation comes out."""
    connection = Connection(lab)
    outcome = await lab.call(task, connection.connect, QUESTIONS, within=30.0, cancel_after=0.8)
    when = "the caller gave up at t = 0.80 s"
    what = f"it raised {type(outcome.error).__name__}" if outcome.error else f"it returned {outcome.result!r}"
    if outcome.cancelled:
        what = "the CancelledError came out"
    if outcome.hung:
        what = "it did not end"
    evidence = f"{when}, and at t = {outcome.end:.2f} s {what}"
    if not lab.expect(outcome.cancelled, "swallowed", evidence):
        return
    if await left_nothing(lab, connection, outcome, when):
        evidence = f"it ended {outcome.unwound or 0.0:.2f} s after that, 0.12 s are enough"
        lab.expect((outcome.unwound or 0.0) < 0.3, None, evidence)


async def check_failure(task, lab):
    """When a question fails, the others are cancelled, and its error comes out."""
    connection = Connection(lab)
    outcome = await lab.call(task, connection.connect, ["slow", "bad", "fast", "slower"], within=30.0)
    error = outcome.error
    group = isinstance(error, BaseExceptionGroup)
    right = isinstance(error, QuestionError) or (group and error.subgroup(QuestionError) is not None)
    what = f"it raised {type(error).__name__}" if error else f"it returned {outcome.result!r}"
    if await left_nothing(lab, connection, outcome, "a question failed at t = 0.65 s"):
        lab.expect(right, None, f"a question raised QuestionError, and {what}")
        evidence = f"a question failed after 0.65 s, and it ended after {outcome.seconds:.2f} s"
        lab.expect(outcome.seconds < 1.0, None, evidence)


async def check_early(task, lab):
    """A caller who gives up before there is a connection gets the cancellation as well."""
    connection = Connection(lab)
    outcome = await lab.call(task, connection.connect, QUESTIONS, within=30.0, cancel_after=0.02)
    what = type(outcome.error).__name__ if outcome.error else f"{outcome.result!r}"
    lab.expect(outcome.cancelled, None, f"it was cancelled while it connected, and {what} came out")
    count = len(connection.calls())
    lab.expect(count == 0, None, f"{count} questions were asked after that")


async def check_no_questions(task, lab):
    """No questions are no special case."""
    connection = Connection(lab)
    got = (await lab.call(task, connection.connect, [])).value
    evidence = f"it returned {got!r}, and closed the connection {len(connection.closed)} times"
    lab.expect(got is not None and list(got) == [] and connection.closed == [0], None, evidence)

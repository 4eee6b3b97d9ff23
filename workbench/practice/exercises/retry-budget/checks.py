from workbench.errors import ConfigurationError
from workbench.practice.probes import waits
from workbench.simulator import Faults

PROMPTS = ["What is jitter?", "What is a budget?", "What is a storm?"]
DOWN = Faults(error_rate=1.0)
ATTEMPTS = 7  # at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 23.5 s; the next would come after 30 s


def exact(lab, seconds, **options):
    """A provider that takes so many seconds for an answer of one word."""
    return lab.simulator(script="Answered.", ttft=seconds, itl=1e-9, **options)


async def check_answers(task, lab):
    """All prompts are answered, in order, one after another."""

    def echo(request):
        if "refused" in request.text:
            raise ConfigurationError("this prompt is refused")
        return request.text

    simulator = lab.simulator(script=echo, ttft=1.0, itl=1e-9)
    outcome = await lab.call(task, simulator.openai(), PROMPTS, 30.0)
    lab.expect(outcome.value == PROMPTS, None, f"for {PROMPTS} it returned {outcome.value!r}")
    gaps = waits(lab.calls(simulator))
    early = [gap for gap in gaps if gap < -1e-6]
    lab.expect(not early, None, f"{len(early)} of 3 requests began before the one before them had ended")
    outcome = await lab.call(task, simulator.openai(max_retries=0), ["refused"], 30.0)
    count = len(simulator.log) - 3
    right = count == 1 and outcome.error is not None and not isinstance(outcome.error, TimeoutError)
    lab.expect(right, None, f"a prompt that is refused: {count} requests, {type(outcome.error).__name__}")


async def check_outage(task, lab):
    """While the provider is down, each attempt is one request, and the waits double."""
    simulator = exact(lab, 1e-9, faults=DOWN)
    outcome = await lab.call(task, simulator.openai(), PROMPTS[:1], 30.0)
    count = len(simulator.log)
    evidence = f"{count} requests in {outcome.seconds:.1f} s; with the waits of the task there are {ATTEMPTS}"
    lab.expect(count <= ATTEMPTS + 1, "sdk_multiplies", evidence)
    if not outcome.seconds > 30.0 + 1e-6:
        lab.expect(count >= ATTEMPTS, None, evidence)
    kind = type(outcome.error).__name__
    lab.expect(isinstance(outcome.error, TimeoutError), None, f"{kind} came out, TimeoutError is right")
    evidence = f"it ended after {outcome.seconds:.1f} s, the budget is 30 s"
    lab.expect(outcome.seconds <= 30.0 + 1e-6, "last_sleep", evidence)
    last = simulator.log[-1].ended if count else 0.0
    evidence = (
        f"the last request failed at {last - outcome.start:.1f} s, and it ended at {outcome.seconds:.1f} s"
    )
    if outcome.seconds <= 30.0 + 1e-6 and count <= ATTEMPTS + 1:
        lab.expect(outcome.end - last < 0.5, None, evidence)


async def check_slow(task, lab):
    """The time of requests counts, also of one that hangs."""
    simulator = exact(lab, 50.0)
    outcome = await lab.call(task, simulator.openai(), PROMPTS[:1], 30.0)
    evidence = f"a request of 50 s: it ended after {outcome.seconds:.1f} s, the budget is 30 s"
    if lab.expect(outcome.seconds <= 30.0 + 1e-6, "request_time", evidence):
        kind = type(outcome.error).__name__
        lab.expect(isinstance(outcome.error, TimeoutError), None, f"{kind} came out, TimeoutError is right")
    lab.expect(not outcome.left, None, f"{len(outcome.left)} tasks are left {' '.join(outcome.left)}".strip())


async def check_shared(task, lab):
    """All prompts together have one budget."""
    simulator = exact(lab, 12.0)
    outcome = await lab.call(task, simulator.openai(), PROMPTS, 30.0)
    evidence = f"3 requests of 12 s: it ended after {outcome.seconds:.1f} s, the budget is 30 s"
    lab.expect(outcome.seconds <= 30.0 + 1e-6, "restarted", evidence)
    simulator = exact(lab, 12.0)
    outcome = await lab.call(task, simulator.openai(), PROMPTS[:2], 30.0)
    evidence = f"2 requests of 12 s: it ended after {outcome.seconds:.1f} s with {outcome.error!r}"
    lab.expect(outcome.error is None, None, evidence)

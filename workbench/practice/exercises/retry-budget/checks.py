import httpx2

from workbench.errors import ConfigurationError
from workbench.practice.probes import waits
from workbench.simulator import Faults, FaultWindow

PROMPTS = ["What is jitter?", "What is a budget?", "What is a storm?"]
DOWN = Faults(error_rate=1.0)
WAITS = [0.5, 1, 2, 4, 8, 8]  # the last request is sent at 23.5 s; the next would come after 30 s


def told(seconds):
    return ", ".join(f"{each:g}" for each in seconds) or "none"


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
    sent = lab.spy(httpx2.AsyncClient, "send")
    simulator = exact(lab, 1e-9, faults=DOWN)
    outcome = await lab.call(task, simulator.openai(), PROMPTS[:1], 30.0)
    again = sum(request.headers.get("x-stainless-retry-count", "0") != "0" for _, request in sent)
    evidence = f"{len(sent)} requests in {outcome.seconds:.1f} s, {again} of them the SDK's own retries"
    if not lab.expect(again == 0, "sdk_multiplies", evidence):
        return
    waited = waits(lab.calls(simulator))[: len(WAITS)]
    evidence = f"the first waits were {told(waited)} s, those of the task {told(WAITS)} s"
    right = len(waited) == len(WAITS) and all(abs(a - b) < 0.01 for a, b in zip(waited, WAITS, strict=True))
    lab.expect(right, None, evidence)
    kind = type(outcome.error).__name__
    lab.expect(isinstance(outcome.error, TimeoutError), None, f"{kind} came out, TimeoutError is right")
    failed = sum(WAITS)
    evidence = f"after the request that failed at {failed} s it waited until {outcome.seconds:.1f} s"
    evidence += ", the budget is 30 s and the next wait 8 s"
    lab.expect(not right or outcome.seconds < failed + 0.5, "last_sleep", evidence)


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
    ill = [FaultWindow(start=start, end=end, error_rate=1.0) for start, end in ((0, 16), (24, 90))]
    simulator = exact(lab, 1.0, faults=Faults(windows=ill))
    outcome = await lab.call(task, simulator.openai(max_retries=0), PROMPTS[:2], 30.0)
    evidence = "the first prompt was answered after 24.6 s, and the second failed: it ended after "
    evidence += f"{outcome.seconds:.1f} s, the budget is 30 s"
    anew = outcome.seconds > 30.0 + max(WAITS)
    shared = lab.expect(outcome.seconds <= 30.0 + 1e-6, "restarted" if anew else "last_sleep", evidence)
    simulator = exact(lab, 12.0)
    outcome = await lab.call(task, simulator.openai(), PROMPTS, 30.0)
    evidence = f"3 requests of 12 s: it ended after {outcome.seconds:.1f} s, the budget is 30 s"
    lab.expect(outcome.seconds <= 30.0 + 1e-6, "request_time" if shared else "restarted", evidence)
    simulator = lab.simulator(
        script=lambda request: "word " * (50 if "jitter" in request.text else 5), itl=0.4
    )
    outcome = await lab.call(task, simulator.openai(), PROMPTS[:2], 30.0)
    seconds = " and ".join(f"{call.end - call.start:.0f}" for call in lab.calls(simulator))
    came = repr(outcome.error) if outcome.error else "the answers"
    evidence = f"2 requests, of {seconds} s: {came} after {outcome.seconds:.1f} s, the budget is 30 s"
    lab.expect(outcome.error is None, None, evidence)

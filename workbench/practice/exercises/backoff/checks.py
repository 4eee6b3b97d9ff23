import httpx2
import openai

from workbench.practice.probes import waits

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")
KINDS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


def failure(status):
    if status == "connection":
        return openai.APIConnectionError(request=REQUEST)
    if status == "timeout":
        return openai.APITimeoutError(request=REQUEST)
    kind = KINDS.get(status, openai.InternalServerError if status >= 500 else openai.APIStatusError)
    return kind(f"error {status}", response=httpx2.Response(status, request=REQUEST), body=None)


def sender(lab, *statuses):
    """A send that fails with each of the statuses in turn, the last one for ever; 200 is an answer."""
    number = iter(range(10**6))

    def answer():
        status = statuses[min(next(number), len(statuses) - 1)]
        return "an answer" if status == 200 else failure(status)

    return lab.service(answer, takes=0.2, name="send")


def told(seconds):
    return ", ".join(f"{each:.2f}" for each in seconds) + " s"


async def check_success(task, lab):
    """An answer is returned, at once or after failures."""
    for statuses in ((200,), (503, 200), (429, "connection", 200)):
        send = sender(lab, *statuses)
        outcome = await lab.call(task, send, 5, 0.5, 8.0)
        evidence = f"attempts: {len(send.calls)}, needed: {len(statuses)}; it returned {outcome.value!r}"
        lab.expect(len(send.calls) == len(statuses) and outcome.value == "an answer", None, evidence)


async def check_limit(task, lab):
    """There are at most so many attempts."""
    for attempts in (4, 1):
        send = sender(lab, 503)
        outcome = await lab.call(task, send, attempts, 0.5, 8.0, within=60)
        count = len(send.calls)
        evidence = f"{count} attempts in {outcome.seconds:.1f} s, {attempts} were allowed"
        if not lab.expect(count <= attempts and not outcome.hung, "no_attempt_limit", evidence):
            return
        same = type(outcome.error).__name__
        right = count == attempts and isinstance(outcome.error, openai.InternalServerError)
        lab.expect(right, None, f"after {count} of {attempts} attempts it raised {same}")


async def check_which(task, lab):
    """What cannot succeed is raised at once, and what may pass is tried again."""
    for status in (400, 401, 403, 404, 422):
        send = sender(lab, status)
        outcome = await lab.call(task, send, 3, 0.5, 8.0)
        count = len(send.calls)
        evidence = f"attempts for a {status}: {count}"
        if not lab.expect(count == 1, "retries_client_errors", evidence):
            return
        raised = getattr(outcome.error, "status_code", outcome.error)
        lab.expect(raised == status, None, f"a {status} came out as {raised!r}")
    for status in (408, 409, 429, 500, 503, 529, "connection", "timeout"):
        send = sender(lab, status, 200)
        await lab.call(task, send, 3, 0.5, 8.0)
        lab.expect(
            len(send.calls) == 2, None, f"attempts where the first ended in {status}: {len(send.calls)}"
        )


async def check_jitter(task, lab):
    """The wait is a random one from 0 to its ceiling."""
    ceilings, calls = [1.0, 2.0, 4.0, 8.0], []
    for _ in range(30):
        send = sender(lab, 503)
        await lab.call(task, send, 5, 1.0, 60.0, within=60)
        calls.append(waits(send.calls))
        if not lab.expect(len(calls[-1]) == 4, None, f"{len(calls[-1])} waits in a call of 5 attempts"):
            return
    evidence = f"two calls that failed together waited for {told(calls[0])}, and for {told(calls[1])}"
    if not lab.expect(calls[0] != calls[1], "no_jitter", evidence):
        return
    longest = [max(waited) for waited in zip(*calls, strict=True)]
    shares = [wait / ceiling for waited in calls for wait, ceiling in zip(waited, ceilings, strict=True)]
    least, most, mean = min(shares), max(shares), sum(shares) / len(shares)
    among = f"of 120 the shortest was {least:.2f}, the longest {most:.2f}, the mean {mean:.2f} of its ceiling"
    if lab.expect(most - least > 0.3, "no_jitter", among):
        even = least < 0.15 and most > 0.85 and 0.4 < mean < 0.6 and most < 1 + 1e-6
        doubles = all(wait > 0.6 * ceiling for wait, ceiling in zip(longest, ceilings, strict=True))
        evidence = (
            f"the ceilings are {told(ceilings)}, and the longest waits of 30 calls were {told(longest)}"
        )
        lab.expect(even and doubles, None, among if not even else evidence)


async def check_cap(task, lab):
    """No wait is longer than the cap."""
    longest = 0.0
    for _ in range(8):
        send = sender(lab, 503)
        await lab.call(task, send, 9, 1.0, 5.0, within=300)
        longest = max([longest, *waits(send.calls)])
    lab.expect(longest <= 5.0 + 1e-6, "no_cap", f"the longest wait was {longest:.1f} s, the cap is 5 s")


async def check_end(task, lab):
    """After the last attempt nothing is waited for."""
    for _ in range(4):
        send = sender(lab, 503)
        outcome = await lab.call(task, send, 3, 4.0, 60.0, within=60)
        late = outcome.end - (send.calls[-1].end or 0.0)
        evidence = f"the error came {late:.2f} s after the last attempt"
        if not lab.expect(late < 1e-6, "sleeps_after_last", evidence):
            return


async def check_loop(task, lab):
    """The event loop goes on while it waits."""
    await lab.call(task, sender(lab, 503), 4, 2.0, 8.0, within=60)
    worst = lab.longest_block()
    lab.expect(worst.seconds < 0.01, None, str(worst) if worst.seconds else "the loop never stood still")

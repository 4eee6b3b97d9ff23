from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import openai

from workbench.practice.probes import waits

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")
KINDS = {400: openai.BadRequestError, 401: openai.AuthenticationError, 429: openai.RateLimitError}


def failure(status, headers=None, code=None):
    response = httpx2.Response(status, headers=headers, request=REQUEST)
    body = {"message": "no", "code": code}
    return KINDS.get(status, openai.InternalServerError)(f"error {status}", response=response, body=body)


def sender(lab, *failures):
    """A send that fails as each of the functions in turn says, and then answers."""
    left = list(failures)
    return lab.service(lambda: left.pop(0)() if left else "an answer", takes=0.2, name="send")


def at_date(seconds):
    def fail():
        date = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
        return failure(429, {"retry-after": format_datetime(date, usegmt=True)})

    return fail


async def check_plain(task, lab):
    """An answer is returned, what cannot succeed is raised, and there are so many attempts and no more."""
    send = sender(lab, lambda: failure(503), lambda: failure(429))
    outcome = await lab.call(task, send, 4, 60)
    lab.expect(outcome.value == "an answer", None, f"{len(send.calls)} attempts gave {outcome.value!r}")
    for status, allowed in ((400, 1), (401, 1), (503, 3)):
        send = sender(lab, *[lambda status=status: failure(status)] * 9)
        outcome = await lab.call(task, send, 3, 60)
        raised = getattr(outcome.error, "status_code", outcome.error)
        evidence = f"{len(send.calls)} attempts for a {status}, {allowed} are right; {raised!r} came out"
        lab.expect(len(send.calls) == allowed and raised == status, None, evidence)


async def check_floor(task, lab):
    """It never comes back sooner than the server asks."""
    for status, asked, header in (
        (429, 20.0, {"retry-after": "20"}),
        (503, 20.0, {"retry-after": "20"}),
        (429, 12.5, {"retry-after-ms": "12500", "retry-after": "1"}),
    ):
        send = sender(lab, lambda status=status, header=header: failure(status, header))
        outcome = await lab.call(task, send, 3, 60)
        waited = waits(send.calls)
        if not lab.expect(len(waited) == 1, None, f"{len(send.calls)} attempts, 2 were needed"):
            return
        evidence = f"{status} with {header}: it came back after {waited[0]:.2f} s"
        lab.expect(waited[0] >= asked - 1e-6, "not_a_floor", evidence)
        lab.expect(waited[0] <= asked + 8.0 and outcome.value == "an answer", None, evidence)


async def check_own(task, lab):
    """Where the server asks for nothing, or makes no sense, its own backoff counts."""
    for value in (None, "0", "-5", "soon"):
        what = "no header" if value is None else f"retry-after: {value}"
        longest = shortest = 0.0
        for _ in range(6):
            headers = None if value is None else {"retry-after": value}
            send = sender(lab, *[lambda headers=headers: failure(503, headers)] * 9)
            await lab.call(task, send, 4, 60)
            waited = waits(send.calls)
            if not lab.expect(len(waited) == 3, None, f"{what}: {len(send.calls)} of 4 attempts"):
                return
            longest, shortest = max(longest, *waited), min(shortest, *waited)
        evidence = f"{what}: of 18 waits the longest was {longest:.2f} s, at most 2 s are right"
        lab.expect(0.2 < longest <= 2.0, None, evidence)


async def check_date(task, lab):
    """A date is understood as well."""
    send = sender(lab, at_date(30))
    outcome = await lab.call(task, send, 3, 60)
    waited = waits(send.calls)
    if outcome.error is not None:
        evidence = f"a date 30 s ahead: {type(outcome.error).__name__}, {outcome.error}"
        lab.expect(False, "date_form", evidence)
        return
    wait = waited[0] if waited else 0.0
    lab.expect(29 <= wait <= 39, "date_form", f"a date 30 s ahead: it came back after {wait:.2f} s")
    send = sender(lab, at_date(-30))
    outcome = await lab.call(task, send, 3, 60)
    came = repr(outcome.error) if outcome.error else "an answer"
    evidence = f"a date that is past: {came} after {len(send.calls)} attempts"
    lab.expect(outcome.error is None and len(send.calls) == 2, None, evidence)


async def check_longest(task, lab):
    """What would take too long is raised at once."""
    for form, fail in (
        ("in seconds", lambda: failure(429, {"retry-after": "3600"})),
        ("in milliseconds", lambda: failure(429, {"retry-after-ms": "3600000"})),
        ("by a date", at_date(3600)),
    ):
        send = sender(lab, fail)
        outcome = await lab.call(task, send, 3, 60, within=20_000)
        evidence = f"the server asked for 3600 s, {form}, at most 60 are to be waited: it took "
        evidence += f"{outcome.seconds:.1f} s, and attempts: {len(send.calls)}"
        sooner = "date_form" if form == "by a date" else "not_a_floor"
        if not lab.expect(outcome.seconds < 0.3, "uncapped" if outcome.seconds >= 60 else sooner, evidence):
            return
        status = getattr(outcome.error, "status_code", None)
        lab.expect(status == 429, None, f"{outcome.error!r} came out, the 429 is right")


async def check_quota(task, lab):
    """A quota that is used up is raised at once."""
    send = sender(lab, *[lambda: failure(429, code="insufficient_quota")] * 9)
    outcome = await lab.call(task, send, 3, 60)
    lab.expect(
        len(send.calls) == 1, "quota_retried", f"{len(send.calls)} attempts with a quota that is used up"
    )
    code = getattr(outcome.error, "code", outcome.error)
    lab.expect(code == "insufficient_quota", None, f"{code!r} came out")

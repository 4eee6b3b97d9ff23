import base64
import binascii
import json
import re
from pathlib import Path

import httpx2
import openai

MODEL = "gpt-5.5"
SECRET = "-".join(("sk", "practice", "0123456789abcdefghij"))  # no scan shall take it for a real one
QUESTION = {"model": MODEL, "messages": [{"role": "user", "content": "What is jitter?"}], "stream": False}
OTHER = {**QUESTION, "messages": [{"role": "user", "content": "What is a budget?"}]}
URL = "http://127.0.0.1/v1/chat/completions"


class Tapes:
    """A provider, and clients whose requests go through the learner's cassette to it."""

    def __init__(self, lab):
        self.simulator = lab.simulator(script=lambda request: f"You asked: {request.text} 🙂", ttft=0.2)
        self.upstream = self.simulator.async_transport("openai")

    def client(self, task, record):
        return httpx2.AsyncClient(transport=task("tape", self.upstream, record))

    async def ask(self, task, body, record, **how):
        """Status, content type and chunks of the answer to one request."""
        async with self.client(task, record) as client:
            return await ask(client, body, **how)


async def ask(client, body, *, raw=None, method="POST"):
    keys = {"authorization": f"Bearer {SECRET}", "x-api-key": SECRET}
    content = json.dumps(body).encode() if raw is None else raw
    headers = {**keys, "content-type": "application/json"}
    async with client.stream(method, URL, headers=headers, content=content) as response:
        chunks = [chunk async for chunk in response.aiter_bytes()]
    return response.status_code, response.headers.get("content-type"), chunks


def written():
    """The files that the program has written, by name: it runs in an empty folder."""
    return {path.name: path.read_bytes() for path in sorted(Path().rglob("*")) if path.is_file()}


def decoded(content):
    """All of it, and what stands in it in base64 or in hexadecimal digits."""
    found = [content]
    for run in re.findall(rb"[\w+/-]{24,}", content):
        try:
            found.append(base64.b64decode(run[: len(run) // 4 * 4].replace(b"-", b"+").replace(b"_", b"/")))
            found.append(binascii.unhexlify(run))
        except binascii.Error:
            continue
    return b"\n".join(found)


def backwards(value):
    """The same JSON, with the keys of each object in the opposite order."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(each) for each in value] if isinstance(value, list) else value


async def check_replay(task, lab):
    """What was recorded is replayed, and nothing else is asked."""
    tapes = Tapes(lab)

    async def by_the_sdk(record):
        client = openai.AsyncOpenAI(api_key=SECRET, http_client=tapes.client(task, record), max_retries=0)
        answers = [await client.chat.completions.create(**body) for body in (QUESTION, OTHER, QUESTION)]
        return [answer.choices[0].message.content for answer in answers]

    first = await lab.call(by_the_sdk, True)
    asked = len(tapes.simulator.log)
    again = await lab.call(by_the_sdk, False)
    texts = first.value
    lab.expect(
        texts[0] != texts[1] and asked == 3, None, f"while recording, {asked} of 3 requests went upstream"
    )
    after = len(tapes.simulator.log) - asked
    if again.error is None and after == 0 and len(set(again.value)) == 1:
        lab.expect(False, "unstable_body_match", "two requests with other prompts got the same answer")
        return
    lab.expect(again.value == texts, None, f"recorded {texts}, replayed {again.value}")
    lab.expect(after == 0, "falls_through", f"while replaying, {after} requests went upstream")


async def check_missing(task, lab):
    """A request that was not recorded is an error, and goes nowhere."""
    tapes = Tapes(lab)
    for body in (OTHER, QUESTION):  # the second recording begins anew
        (await lab.call(tapes.ask, task, body, True)).value
    asked = len(tapes.simulator.log)
    for what, body, method in (
        ("a request that was not recorded", {**QUESTION, "max_tokens": 7}, "POST"),
        ("a request of the recording before this one", OTHER, "POST"),
        ("a request with another method", QUESTION, "PUT"),
    ):
        outcome = await lab.call(tapes.ask, task, body, False, method=method)
        after = len(tapes.simulator.log) - asked
        if not lab.expect(after == 0, "falls_through", f"{what}: {after} went upstream"):
            return
        kind = type(outcome.error).__name__ if outcome.error else "an answer"
        right = isinstance(outcome.error, LookupError)
        other_body = outcome.error is None and "max_tokens" in body
        evidence = f"{what} gave {kind}, LookupError is right"
        lab.expect(right, "unstable_body_match" if other_body else None, evidence)


async def check_secret(task, lab):
    """The key is not in the file."""
    tapes = Tapes(lab)
    (await lab.call(tapes.ask, task, QUESTION, True)).value
    files = written()
    size = sum(map(len, files.values()))
    lab.expect(size > 0, None, "something was written" if size else "nothing was written")
    places = [name for name, content in files.items() if SECRET.encode() in decoded(content)]
    evidence = f"the key stands in {places[0]!r}" if places else f"no key in {len(files)} files"
    lab.expect(not places, "secret_recorded", evidence)


async def check_match(task, lab):
    """The same JSON is the same request, however it is written."""
    tapes = Tapes(lab)
    recorded = (await lab.call(tapes.ask, task, QUESTION, True)).value
    for how, raw in (
        ("in another order", json.dumps(backwards(QUESTION)).encode()),
        ("with other white space", json.dumps(QUESTION, indent=2).encode()),
    ):
        outcome = await lab.call(tapes.ask, task, QUESTION, False, raw=raw)
        found = outcome.error is None and b"".join(outcome.result[2]) == b"".join(recorded[2])
        said = "found" if found else f"not found: {type(outcome.error).__name__}"
        lab.expect(found, "unstable_body_match", f"the same JSON {how} was {said}")


async def check_chunks(task, lab):
    """A stream comes back in the chunks in which it came."""
    tapes = Tapes(lab)
    body = {**QUESTION, "stream": True}
    made = (await lab.call(ask, httpx2.AsyncClient(transport=tapes.upstream), body)).value
    recorded = (await lab.call(tapes.ask, task, body, True)).value
    replayed = (await lab.call(tapes.ask, task, body, False)).value
    whole = b"".join(recorded[2])
    same = b"".join(replayed[2]) == whole and replayed[:2] == recorded[:2]
    lab.expect(same, None, f"status {replayed[0]}, {len(whole)} bytes recorded")
    evidence = (
        f"{len(made[2])} chunks were sent, {len(recorded[2])} came while recording, {len(replayed[2])} again"
    )
    lab.expect(len(made[2]) == len(recorded[2]) == len(replayed[2]), "chunks_lost", evidence)


async def check_status(task, lab):
    """An error is recorded as well, and the same request may be asked any number of times."""
    tapes = Tapes(lab)
    wrong = {**QUESTION, "model": "no-such-model"}
    recorded = (await lab.call(tapes.ask, task, wrong, True)).value
    client = tapes.client(task, False)
    for number in (1, 2, 3):
        replayed = (await lab.call(ask, client, wrong)).value
        evidence = f"status {recorded[0]} recorded, {replayed[0]} replayed when asked {number} times"
        lab.expect(replayed == recorded, None, evidence)

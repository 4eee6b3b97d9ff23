import io
import logging

KEY = "sk-" + "Ab3dE6-gH9_kL2mN5pQ8rS1t"
OTHER = "sk-" + "ant-api03-Zz9Yy8Xx7Ww6Vv5Uu4Tt3"
MARK = "[redacted]"
INNOCENT = [
    "We use scikit-learn and sk-learn.",
    "sk-short and sk- and SK-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "The flask-sqlalchemy-extension-of-last-year, and a-task-sk-in-the-middle-of-a-word.",
    "sk-" + "x" * 19,
]


def parts_of(key, text):
    """How many characters of a key a text still shows in a row, of those that tell it from others."""
    secret = key[3:]
    lengths = (n for n in range(len(secret), 2, -1))
    return next((n for n in lengths for at in range(len(secret) - n + 1) if secret[at : at + n] in text), 0)


def logged(redactor, write, formatter=None):
    """What a handler writes, with the redactor and without."""
    texts = []
    for protected in (True, False):
        out, logger = io.StringIO(), logging.Logger("app")
        handler = logging.StreamHandler(out)
        if formatter:
            handler.setFormatter(logging.Formatter(formatter))
        if protected:
            redactor.protect(handler)
        logger.addHandler(handler)
        write(logger)
        texts.append(out.getvalue())
    return texts


def both_ends(key, masked):
    """How many of a key's first and last characters what stands in its place begins and ends with."""
    first = next((n for n in range(len(key), 0, -1) if masked.startswith(key[:n])), 0)
    last = next((n for n in range(len(key), 0, -1) if masked.endswith(key[-n:])), 0)
    return max(first, last)


async def check_text(task, lab):
    """A key does not stay in a text, and everything else does."""
    masked = (await lab.call(lambda: task().text(f"<{KEY}>"))).value[1:-1]
    shown = max(parts_of(KEY, masked), both_ends(KEY, masked))
    evidence = f"in place of the key stands {masked!r}, with {shown} of its characters in a row"
    if KEY not in masked and not lab.expect(shown < 2, "shows_a_part", evidence):
        return
    for text in (
        f"The key is {KEY}, they say.",
        f"{KEY}",
        f'{{"key": "{KEY}", "other": "{OTHER}"}}',
        "Nothing.",
    ):
        outcome = await lab.call(lambda text=text: task().text(text))
        got, keys = outcome.value, [key for key in (KEY, OTHER) if key in text]
        left = [key for key in keys if key in got]
        if not lab.expect(
            not left, None, f"{len(left)} of {len(keys)} keys are left in {len(text)} characters"
        ):
            return
        outside = text.replace(KEY, MARK).replace(OTHER, MARK)
        too_much = MARK in got and len(got) < len(outside)
        lab.expect(got == outside, "redacts_too_much" if too_much else None, f"it became {got!r}")


async def check_innocent(task, lab):
    """What is no key is left alone."""
    for text in INNOCENT:
        outcome = await lab.call(lambda text=text: task().text(text))
        evidence = f"{text!r} became {outcome.value!r}"
        if not lab.expect(outcome.value == text, "redacts_too_much", evidence):
            return


async def check_logs(task, lab):
    """No key is logged: by the message, its arguments, or a traceback."""

    def fail(logger):
        try:
            raise ConnectionError(f"refused: {KEY}")
        except ConnectionError:
            logger.exception("the call failed")

    for what, write in (
        ("the message", lambda logger: logger.warning(f"using {KEY}")),
        ("an argument", lambda logger: logger.warning("using %s in %d calls", KEY, 3)),
        ("a named argument", lambda logger: logger.warning("using %(key)s", {"key": KEY})),
        ("an error as argument", lambda logger: logger.error("failed: %s", ValueError(OTHER))),
        ("a traceback", fail),
    ):
        for formatter in (None, "%(levelname)s %(message)s"):
            outcome = await lab.call(
                lambda write=write, formatter=formatter: logged(task(), write, formatter)
            )
            got, plain = outcome.value
            key = KEY if KEY in plain else OTHER
            shown = parts_of(key, got)
            mistake = None if what == "the message" else "arguments_missed"
            evidence = f"the key was in {what}, and {shown} characters of it were written"
            if not lab.expect(shown < 3, mistake if key in got else "shows_a_part", evidence):
                return
            kept = got == plain.replace(key, MARK)
            if what == "a traceback":  # it may be shown in another form
                kept = "the call failed" in got and "ConnectionError" in got
            written = "as it was, without the key" if kept else f"as {got[:80]!r}"
            lab.expect(kept, None, f"the record with the key in {what} was written {written}")


async def check_other_records(task, lab):
    """Records without keys look as before."""

    def write(logger):
        logger.info("%d of %d answered in %.1f s", 3, 4, 1.25)
        logger.warning("100 % done")

    outcome = await lab.call(lambda: logged(task(), write, "%(name)s: %(message)s"))
    got, plain = outcome.value
    lab.expect(got == plain, None, f"{plain!r} was written as {got!r}")


async def check_stream(task, lab):
    """A key that is cut by chunks does not get through."""
    text = f"Take {KEY} or {OTHER}; risk-free, sk-short, and {KEY}"
    wanted = text.replace(KEY, MARK).replace(OTHER, MARK)
    for size in (400, 1, 2, 7, 15):
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        outcome = await lab.call(lambda chunks=chunks: "".join(task().stream(iter(chunks))))
        shown = max(parts_of(key, outcome.value) for key in (KEY, OTHER))
        whole = any(key in outcome.value for key in (KEY, OTHER))
        evidence = f"in chunks of {size} characters, {shown} characters of a key in a row came through"
        if not lab.expect(not whole and shown < 5, "split_key", evidence):
            return
        lab.expect(outcome.value == wanted, None, f"in chunks of {size} it became {outcome.value!r}")


async def check_live(task, lab):
    """What cannot be part of a key is not held back."""
    got, seen = [], []

    def chunks():
        for chunk in ("The answer ", "is fine. ", f"{KEY[:9]}", f"{KEY[9:]} ", "And so on."):
            seen.append("".join(got))
            yield chunk

    def read():
        for piece in task().stream(chunks()):
            got.append(piece)  # noqa: PERF402 - `chunks` looks at it meanwhile

    await lab.call(read)
    early = [len(text) for text in seen]
    right = len(seen) == 5 and seen[1].startswith("The answer") and seen[2].startswith("The answer is fine.")
    lab.expect(right, None, f"after each of the first chunks {early} characters had been given")

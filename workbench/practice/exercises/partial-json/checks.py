from pydantic_core import from_json

PLAIN = '{"city": "Zurich", "tags": ["a", "warm"], "wind": {"from": "west"}}'
BRACKETS = '{"code": "if (a[0]) { return \'}\' }, ok", "next": ["]", "{"]}'
ESCAPES = r'{"quote": "say \"hi\" and C:\\temp\\", "name": "caf\u00e9 \ud83d\ude42 end"}'
LITERALS = '{"low": -12, "share": 0.5, "big": 1e3, "sure": true, "seen": false, "none": null, "end": "x"}'


def reference(text):
    """What may be shown: of a number that may still grow, as much as is a number, or nothing."""
    if not text.strip():
        return [None]
    outside = text.rstrip("0123456789.eE+-")
    ends = range(len(outside) if outside.count('"') % 2 == 0 else len(text), len(text) + 1)
    return [from_json(text[:end], allow_partial="trailing-strings") for end in reversed(ends)]


def bare(value):
    """Without empty texts, lists and objects: one that has just begun may be shown, or not."""
    if isinstance(value, dict):
        return {key: kept for key, each in value.items() if (kept := bare(each)) not in ("", [], {})}
    if isinstance(value, list):
        return [kept for each in value if (kept := bare(each)) not in ("", [], {})]
    return value


def agrees(value, text):
    return any((bare(value) or {}) == (bare(each) or {}) for each in reference(text))


async def taken(task, lab, fragments):
    """The snapshots that came, and the error that ended them."""
    got = []

    def read():
        for fragment_or_snapshot in task(iter(fragments)):
            got.append(fragment_or_snapshot)  # noqa: PERF402 - what came before an error counts, too

    outcome = await lab.call(read, steps=1_000_000)
    return got, outcome.hung or outcome.error


async def judge(task, lab, mistake, text, size=1):
    """Cut a text into fragments, and compare every snapshot."""
    fragments = [text[place : place + size] for place in range(0, len(text), size)]
    got, error = await taken(task, lab, fragments)
    for number in range(1, len(fragments) + 1):
        known = "".join(fragments[:number])
        if number > len(got):
            said = f"it raised {type(error).__name__}: {error}" if isinstance(error, Exception) else error
            return lab.expect(False, mistake, f"after …{known[-24:]!r} {said or 'nothing came'}")
        if not agrees(got[number - 1], known):
            wanted = reference(known)[0]
            return lab.expect(
                False, mistake, f"after …{known[-24:]!r} it showed {got[number - 1]}, known is {wanted}"
            )
    right = f"{len(fragments)} fragments of {size} characters, and every snapshot was right"
    return lab.expect(True, None, right)


async def check_whole(task, lab):
    """There is one snapshot for each fragment, and the last one is the object."""
    wanted = from_json(PLAIN)
    for fragments in ([PLAIN], [PLAIN[:20], PLAIN[20:45], PLAIN[45:]]):
        got, error = await taken(task, lab, fragments)
        count = len(fragments)
        if isinstance(error, ValueError) and count > 1:
            evidence = f"it raised {type(error).__name__} after {len(got)} of {count} fragments: {error}"
            lab.expect(False, "loads_each_chunk", evidence)
        elif error:
            lab.expect(False, None, f"{len(got)} of {count} snapshots came, then: {error!r}")
        else:
            last = got[-1] if got else "nothing"
            evidence = f"{len(got)} snapshots of {count} fragments, the last one {last}"
            lab.expect(len(got) == count and last == wanted, None, evidence)


async def check_live(task, lab):
    """What is known is shown at once."""
    got, _ = await taken(task, lab, list(PLAIN))
    shown = [each for each in got[:-1] if each]
    if not shown:
        evidence = f"nothing was shown in the first {len(PLAIN) - 1} of {len(PLAIN)} fragments"
        lab.expect(False, "loads_each_chunk", evidence)
        return
    await judge(task, lab, None, PLAIN)
    firsts = [str(each) for each in got]
    again, _ = await taken(task, lab, list(PLAIN))
    kept = [str(each) for each in again] == firsts and len({id(each) for each in got if each}) > 1
    lab.expect(
        kept, None, "snapshots are values of their own" if kept else "later fragments change snapshots"
    )


async def check_brackets(task, lab):
    """Brackets inside of strings are characters."""
    await judge(task, lab, "brackets_in_strings", BRACKETS)


async def check_escapes(task, lab):
    """Escapes are shown when they are complete."""
    for size in (1, 3):
        if not await judge(task, lab, "escape_cut", ESCAPES, size):
            return


async def check_literals(task, lab):
    """Numbers and literals are shown when they are values."""
    for size in (1, 2):
        if not await judge(task, lab, "lone_minus", LITERALS, size):
            return

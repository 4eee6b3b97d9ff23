import copy
import re

from pydantic_core import from_json

PLAIN = '{"city": "Zurich", "tags": ["a", "warm"], "wind": {"from": "west"}}'
BRACKETS = '{"code": "if (a[0]) { return \'}\' }, ok", "next": ["]", "{"]}'
ESCAPES = r'{"quote": "say \"hi\" and C:\\temp\\", "name": "caf\u00e9 \ud83d\ude42 end"}'
LITERALS = '{"low": -12, "share": 0.5, "big": 1e3, "sure": true, "seen": false, "none": null, "end": "x"}'
VALUE = "0123456789.eE+-truefalsn"  # the characters of numbers and literals
# The same without what is difficult: who is wrong there as well, at the same place, has made another mistake.
EASY = {
    BRACKETS: '{"code": "if (a.0.) . return \'.\' .. ok", "next": [".", "."]}',
    ESCAPES: r'{"quote": "say ..hi.. and C:..temp..", "name": "caf...... ............ end"}',
    LITERALS: '{"low": "a", "share": "b", "big": "c", "sure": "to", "seen": "not", "none": "no", "end": "x"}',
}


def reference(text):
    """What may be shown: of a number or literal at the end, as much as is a value, or nothing."""
    if not text.strip():
        return [None]
    in_text = re.sub(r"\\.", "", text).count('"') % 2
    least = len(text) if in_text else len(text.rstrip(VALUE))
    return [
        from_json(text[:end], allow_partial="trailing-strings") for end in range(len(text), least - 1, -1)
    ]


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
    """The snapshots that came, the error that ended them, and whether they are still what they were."""
    got, given = [], []

    def read():
        for snapshot in task(iter(fragments)):
            given.append(snapshot)
            got.append(copy.deepcopy(snapshot))

    outcome = await lab.call(read, steps=300_000)
    return got, outcome.hung or outcome.error, given == got


async def shown(task, lab, text, size):
    """For each fragment of a text, whether its snapshot was right, and what to say of it."""
    fragments = [text[place : place + size] for place in range(0, len(text), size)]
    got, error, _ = await taken(task, lab, fragments)
    said = f"it raised {type(error).__name__}: {error}" if isinstance(error, Exception) else error
    results = []
    for number in range(1, len(fragments) + 1):
        known = "".join(fragments[:number])
        came = number <= len(got)
        what = f"it showed {got[number - 1]}, known is {reference(known)[0]}" if came else said
        results.append(
            (came and agrees(got[number - 1], known), f"after …{known[-24:]!r} {what or 'nothing came'}")
        )
    return results


async def judge(task, lab, mistake, text, size=1):
    """Cut a text into fragments, and compare every snapshot."""
    results = await shown(task, lab, text, size)
    wrong = [number for number, (right, _) in enumerate(results) if not right]
    if not wrong:
        return lab.expect(
            True, None, f"{len(results)} fragments of {size} characters, and every snapshot was right"
        )
    easy = await shown(task, lab, EASY.get(text, text), size)
    telling = [number for number in wrong if easy[number][0]]
    return lab.expect(False, mistake if telling else None, results[(telling or wrong)[0]][1])


async def check_whole(task, lab):
    """There is one snapshot for each fragment, and the last one is the object."""
    wanted = from_json(PLAIN)
    for fragments in ([PLAIN], [PLAIN[:20], PLAIN[20:45], PLAIN[45:]]):
        got, error, _ = await taken(task, lab, fragments)
        count = len(fragments)
        if isinstance(error, ValueError) and count > 1:
            evidence = f"it raised {type(error).__name__} after {len(got)} of {count} fragments: {error}"
            lab.expect(False, "loads_each_chunk", evidence)
        elif error:
            lab.expect(False, None, f"{len(got)} of {count} snapshots came, then: {error!r}")
        else:
            last = got[-1] if got else "nothing"
            evidence = f"{len(got)} snapshots of {count} fragments, the last one {last}"
            mistake = "loads_each_chunk" if len(got) == count > 1 and not any(got) else None
            lab.expect(len(got) == count and last == wanted, mistake, evidence)


async def check_live(task, lab):
    """What is known is shown at once."""
    got, _, kept = await taken(task, lab, list(PLAIN))
    if not any(got[:-1]):
        evidence = f"nothing was shown in the first {len(PLAIN) - 1} of {len(PLAIN)} fragments"
        lab.expect(False, "loads_each_chunk", evidence)
        return
    await judge(task, lab, None, PLAIN)
    evidence = (
        "snapshots are values of their own" if kept else "later fragments changed snapshots that were given"
    )
    lab.expect(kept, None, evidence)


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

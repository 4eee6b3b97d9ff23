from itertools import pairwise

WORDS = " ".join(f"word{number}" for number in range(64))
PROSE = "\n\n".join(
    "  ".join(f"Item {row}.{column} follows." for column in range(6)) + "\t" for row in range(5)
)
JAPANESE = "".join(chr(0x4E00 + number * 7) for number in range(120))
MIXED = JAPANESE[:60] + WORDS
ACCENTS = "".join(f"e\u0301{chr(97 + number % 26)}n\u0303\u0323{number} " for number in range(40))
FAMILIES = "".join(f"{number}👩\u200d👧\u200d👦❤\ufe0f" for number in range(40))


def count(text):
    """Tokens: four characters of ASCII are one, any other character is two."""
    plain = len(text.encode("ascii", "ignore"))
    return -(-plain // 4) + 2 * (len(text) - plain)


def spans(text, chunks):
    """(start, end) of each chunk in the text; None where it does not stand in it."""
    found, start = [], 0
    for each in chunks:
        start = text.find(each, start)
        if start < 0:
            return [*found, None]
        found.append((start, start + len(each)))
        start += 1
    return found


async def chunked(task, lab, text, size, overlap):
    outcome = await lab.call(task, text, size, overlap, count, steps=100_000)
    return list(outcome.value)


def lost(text, found):
    """What of a text is in no chunk: how many characters, and the first of them."""
    covered = set()
    for start, end in filter(None, found):
        covered.update(range(start, end))
    missing = [place for place in range(len(text)) if place not in covered]
    return len(missing), text[missing[0]] if missing else ""


def full(lab, chunks, size, said):
    """Judge whether it is characters of which a chunk has as many as it may have tokens."""
    longest = max(map(len, chunks), default=0)
    largest = max(map(count, chunks), default=0)
    evidence = f"{said}; the longest has {longest} characters, which are {largest} tokens"
    return lab.expect(longest > size or 2 * largest > size, "characters_for_tokens", evidence)


async def judge(task, lab, text, size, overlap):
    """Whether all of a text's chunks are in order."""
    chunks = await chunked(task, lab, text, size, overlap)
    said = f"{len(text)} characters, {size=}, {overlap=}: {len(chunks)} chunks"
    found = spans(text, chunks)
    if None in found:
        bad = found.index(None)
        evidence = f"{said}; {chunks[bad][:30]!r} does not stand in the text"
        return lab.expect(False, "not_reassemblable", evidence)
    missing, first = lost(text, found)
    evidence = f"{said}; {missing} characters are in none of them" + (f", first {first!r}" if missing else "")
    if not lab.expect(missing == 0, "not_reassemblable", evidence):
        return False
    largest = max(map(count, chunks))
    if not lab.expect(largest <= size, "characters_for_tokens", f"{said}; the largest has {largest} tokens"):
        return False
    inside = [number for number in range(1, len(found)) if found[number][1] <= found[number - 1][1]]
    evidence = f"{said}; {len(inside)} of them lie within the one before" + (
        f": {chunks[inside[0]]!r}" if inside else ""
    )
    if not lab.expect(not inside, "redundant_tail", evidence):
        return False
    shared = [text[later[0] : earlier[1]] for earlier, later in pairwise(found)]
    most = max(map(count, shared), default=0)
    some = sum(bool(each) for each in shared) >= len(shared) / 2 or not overlap
    evidence = (
        f"{said}; at most {most} tokens are shared, {sum(map(bool, shared))} of {len(shared)} share some"
    )
    lab.expect(most <= overlap and some, None, evidence)
    needed = -(-(count(text) - overlap) // (size - overlap))
    return lab.expect(len(chunks) <= 2 * needed, None, f"{said}, about {needed} are needed")


async def check_words(task, lab):
    """A text becomes chunks that cover it."""
    for text in ("One chunk.", ""):
        chunks = await chunked(task, lab, text, 20, 0)
        lab.expect(chunks == [text][: len(text)], None, f"{text!r} became {chunks}")
    chunks = await chunked(task, lab, WORDS, 20, 0)
    if not full(lab, chunks, 20, f"{len(WORDS)} characters, size=20: {len(chunks)} chunks"):
        return
    right = 0.9 * len(WORDS) / 80 <= len(chunks) <= 2 * len(WORDS) / 80 or max(map(count, chunks)) > 20
    lab.expect(right and len(chunks) > 1, None, f"{len(WORDS)} characters, size=20: {len(chunks)} chunks")


async def check_overlap(task, lab):
    """Chunks overlap, and each says something new."""
    for size, overlap in ((20, 5), (20, 0), (8, 6), (64, 32)):
        if not await judge(task, lab, WORDS, size, overlap):
            return


async def check_white_space(task, lab):
    """White space is a part of the text."""
    await judge(task, lab, PROSE, 16, 4)


async def check_tokens(task, lab):
    """The size is in tokens, in any language."""
    for text in (JAPANESE, MIXED):
        if not await judge(task, lab, text, 40, 8):
            return


async def check_sizes(task, lab):
    """Sizes that cannot be are refused, and every one that can be comes to an end."""
    for size, overlap in ((10, 10), (10, 11), (0, 0), (10, -1)):
        outcome = await lab.call(task, WORDS, size, overlap, count, steps=30_000)
        refused = isinstance(outcome.error, ValueError)
        error = type(outcome.error).__name__ if outcome.error else "a result"
        evidence = f"{size=}, {overlap=}: {outcome.hung or error}"
        mistake = "loops_forever" if overlap >= size > 0 else None
        lab.expect(refused, mistake, evidence)
    outcome = await lab.call(task, WORDS[:200], 10, 9, count, steps=100_000)
    lab.expect(not outcome.hung, "loops_forever", f"size=10, overlap=9: {outcome.hung or 'it ended'}")


async def check_graphemes(task, lab):
    """What is one character to a reader is not cut."""
    for text, size, overlap in ((ACCENTS, 12, 2), (FAMILIES, 30, 16), (FAMILIES, 27, 5), (FAMILIES, 23, 4)):
        chunks = await chunked(task, lab, text, size, overlap)
        found = [span for span in spans(text, chunks) if span]
        places = {place for span in found for place in span if 0 < place < len(text)}
        cut = [
            p
            for p in sorted(places)
            if text[p] in "\u0301\u0303\u0323\u200d\ufe0f" or text[p - 1] == "\u200d"
        ]
        shown = text[cut[0] - 1 : cut[0] + 1] if cut else ""
        evidence = f"{len(cut)} of {len(places)} cuts are inside of a grapheme" + (
            f", first {shown!a}" if cut else ""
        )
        if not lab.expect(not cut, "splits_a_grapheme", evidence):
            return

"""What a simulated model writes by itself: extracts that answer the prompt.

It ranks the sentences of the conversation, of the documents in it, and of a page of knowledge about the
field, by the words that they share with the last question.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from workbench.messages import Citation, Request
from workbench.tokens import count

__all__ = ["Prose", "question_of", "sentences", "stems", "write"]

_WORD = re.compile(r"[^\W_]+")
_SENTENCE = re.compile(r"(?<=[.!?。!?])\s+|\n+")
_STOP_WORDS = frozenset(
    """
    about after again all also and any are because been before being between both but can could does
    each for from had has have how into its just like may more most much not now of only other our out
    over same should some such than that the their them then there these they this those through too
    under until very was were what when where which while who why will with would you your explain tell
    give please one sentence sentences short answer question describe write say
    """.split()  # noqa: SIM905 - one word a line would fill the page
)


@functools.lru_cache(maxsize=4096)
def stems(text: str) -> frozenset[str]:
    """The words that carry meaning, cut to six letters so that their forms agree."""
    words = _WORD.findall(text.lower())
    return frozenset(w[:6] for w in words if w not in _STOP_WORDS and (len(w) > 2 or not w.isascii()))


@functools.cache
def _knowledge() -> list[str]:
    """The sentences that every model knows."""
    return files("workbench.simulator").joinpath("knowledge.txt").read_text(encoding="utf-8").splitlines()


@functools.cache
def _index() -> dict[str, list[int]]:
    """The numbers of those in which a stem is."""
    index: dict[str, list[int]] = {}
    for number, sentence in enumerate(_knowledge()):
        for stem in stems(sentence):
            index.setdefault(stem, []).append(number)
    return index


_size = functools.lru_cache(maxsize=4096)(count)  # the same sentences come again and again


def question_of(request: Request) -> str:
    """What the user asked last."""
    for message in reversed(request.messages):
        if message.role == "user":
            return message.content
    return request.messages[-1].content


def _last_sentence(text: str) -> str:
    return _SENTENCE.split(text.strip())[-1]


def sentences(text: str) -> Iterator[tuple[str, int]]:
    """The sentences of `text`, and where they begin."""
    at = 0
    for piece in _SENTENCE.split(text):
        if sentence := piece.strip():
            at = text.index(sentence, at)
            yield sentence, at
            at += len(sentence)


def _context(request: Request, question: str) -> dict[str, Citation | None]:
    """Sentences that the prompt itself offers, each with the document that it is to be cited from."""
    text = "\n".join(m.content for m in request.messages if m.role in ("system", "user", "tool"))
    known: dict[str, Citation | None] = dict.fromkeys(filter(None, map(str.strip, _SENTENCE.split(text))))
    known.pop(_last_sentence(question), None)
    documents = (document for message in request.messages for document in message.documents)
    for index, document in enumerate(documents):
        for sentence, at in sentences(document.text):
            source = Citation(
                start=0, end=0, document=index, title=document.title, cited_text=sentence, source_start=at
            )
            known[sentence] = known.get(sentence) or (source if document.citations else None)
    return {sentence: source for sentence, source in known.items() if not sentence.endswith("?")}


@dataclass(frozen=True, slots=True)
class Prose:
    """What a model writes: a text, its length in tokens, and on what it rests."""

    text: str
    tokens: int
    citations: tuple[Citation, ...] = ()


def write(request: Request, rng: random.Random, length: int) -> Prose:
    """Prose of at least `length` tokens that answers the last question from what is known."""
    results = [m.content for m in request.messages if m.role == "tool"]
    question = question_of(request)
    wanted = stems(question)
    context = _context(request, question)

    draw, known, index = rng.random, _knowledge(), _index()
    scores = [draw() / 4 for _ in known]
    for stem in wanted:
        for number in index.get(stem, ()):
            scores[number] += 1
    if context:
        mine = {own: len(wanted & stems(own)) + 0.5 + draw() / 4 for own in context}
        merged = dict(zip(known, scores, strict=True)) | mine
        known, scores = list(merged), list(merged.values())
    ranked = sorted(range(len(known)), key=scores.__getitem__, reverse=True)
    parts = [f"The tools say: {'; '.join(results)}."] if results else []
    size = sum(count(part) for part in parts)
    for number in ranked:
        if parts and size >= length:
            break
        parts.append(f" {known[number]}" if parts else known[number])
        size += _size(parts[-1])
    while size < length:  # asked for more than there is to say
        parts.append(f" {known[rng.choice(ranked)]}")
        size += _size(parts[-1])
    return Prose("".join(parts), size, tuple(_cite(parts, context)))


def _cite(parts: Sequence[str], sources: Mapping[str, Citation | None]) -> Iterator[Citation]:
    """Which of the parts rest on which sources; a part begins with its space, as a token does."""
    end = 0
    for part in parts if sources else ():
        start, end = end, end + len(part)
        if source := sources.get(part.removeprefix(" ")):
            yield source.model_copy(update={"start": start, "end": end})

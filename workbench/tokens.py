"""Texts cut into tokens.

The tokenizer is ``o200k_base``, that of OpenAI's models since GPT-4o, in the package ``splintr-rs``; it is
loaded when the first text is cut.  Where that package has no wheel, an estimator takes its place.
:data:`TOKENIZER` says which one is at work, and the environment variable ``WORKBENCH_TOKENIZER`` chooses:
"o200k_base" or "estimate".  What the simulator counts and how long it takes depend on it.

Anthropic's tokenizer is not public.  The simulator counts by this one for both providers; a real answer of
Anthropic's tells other figures for the same text, as a rule larger ones.

The estimator splits a text by o200k's rules (words with the space before them, three digits, runs of signs,
white space), and cuts what is long, or of a script that has few characters a token.  On 0.1 to 2 MB of each
kind its counts differ by +2 % for English prose, -1 to +2 % for code, +1 to +4 % for JSON, 0 % for numbers,
-3 % for German, +1 % for French, +1 % for Chinese, Japanese and Korean, +5 % for popular emoji, +8 % for
Russian; by -7 % for minified JavaScript, and by -15 to -24 % for traditional Chinese, Italian, Swedish,
Greek, Turkish, Polish or Czech.
"""

from __future__ import annotations

import functools
import os
import re
from importlib.util import find_spec
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from splintr import AnyTokenizer

__all__ = ["TOKENIZER", "count", "pieces"]

# The characters of a piece, at most, by script.  A token has about 1.5 of Chinese, Japanese or Korean, where
# a piece ends after two, or if the next one is of another range, which is a matter of chance.
_MOST = {
    "\u3400-\u53ff": 2,  # Han
    "\u5400-\u5fff": 2,
    "\u6000-\u9fff": 2,
    "\u3040-\u306f": 2,  # Hiragana
    "\u3070-\u309f": 2,
    "\u30a0-\u30ff": 2,  # Katakana
    "\uac00-\ub7ff": 2,  # Hangul
    "\ub800-\ud7af": 2,
    "\u0400-\u052f": 5,  # Cyrillic
    "\u0370-\u03ff\u0530-\u1cff": 4,  # Greek, Arabic, Hindi, Thai, …
}
_RARE = "\u2600-\u27bf\U00010000-\U0010ffff"  # emoji above all: two tokens, of which the first says nothing
_LETTER = rf"[^\W\d_A-Z{''.join(_MOST)}{_RARE}]"  # Latin
_SIGN = rf"(?:[^\s\w{_RARE}]|_)"
_BEFORE = rf"(?:[^\w\r\n{_RARE}]|_)?"  # a word takes the sign before it
_PIECE = "|".join(
    (
        rf"(?: [a-z]{{1,10}}|{_BEFORE}[A-Z]?[a-z]{{1,6}})(?!{_LETTER})",  # a word as a whole
        rf"{_BEFORE}(?:[A-Z]?{_LETTER}{{1,5}}|[A-Z]{{1,4}}(?!{_LETTER})|[A-Z])",  # part of one
        *(rf" ?[{script}]{{1,{most}}}" for script, most in _MOST.items()),
        rf"(?= ?[{_RARE}])| ?[{_RARE}]\ufe0f?",  # nothing, and then the sign itself
        rf"\d{{1,3}}| ?{_SIGN}{{1,3}}[\r\n/]*",
        r"\s*[\r\n]+|\s+(?!\S)|\s|\w",
    )
)


def _choose() -> str:
    exact, asked = find_spec("splintr") is not None, os.environ.get("WORKBENCH_TOKENIZER") or None
    if asked not in (None, "o200k_base", "estimate"):
        raise ValueError(f"WORKBENCH_TOKENIZER must be 'o200k_base' or 'estimate', got {asked!r}")
    if asked == "o200k_base" and not exact:
        raise ImportError("WORKBENCH_TOKENIZER='o200k_base' needs splintr-rs: install it, or unset that")
    return asked or ("o200k_base" if exact else "estimate")


TOKENIZER = _choose()


@functools.cache
def _o200k() -> AnyTokenizer:
    from splintr import Tokenizer

    return Tokenizer.from_pretrained("o200k_base")


@functools.cache
def _estimator() -> re.Pattern[str]:
    return re.compile(_PIECE)


def pieces(text: str) -> list[str]:
    """Cut `text` into its tokens: ``"".join(pieces(text)) == text``.

    A token that ends inside a character is ``""``, and its bytes come with the one that completes it: so
    do the providers' streams, which send nothing before.
    """
    if TOKENIZER == "estimate":
        return _estimator().findall(text)
    legible = _legible(text)
    add = _o200k().streaming_decoder().add_token
    made = [add(token) or "" for token in _o200k().encode_ordinary(legible)]
    if legible == text:
        return made
    return [text[start:end] for start, end in pairwise(accumulate(map(len, made), initial=0))]


def count(text: str) -> int:
    """How many tokens `text` has; what looks like a special token ("<|endoftext|>") is text."""
    if TOKENIZER == "estimate":
        return len(_estimator().findall(text))
    return len(_o200k().encode_ordinary(_legible(text)))


def _legible(text: str) -> str:
    """A text as long as `text`, in which each half of a surrogate pair is a question mark."""
    return text if text.isascii() else text.encode(errors="replace").decode()

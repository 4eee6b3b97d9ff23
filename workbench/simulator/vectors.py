"""Texts as vectors: near each other where they share words, or parts of words.

A text is a bag of features: its words, their beginnings, groups of three and four letters; single characters
and pairs of them where a script has no spaces.  "The" hardly counts, and what comes twice not twice.  A hash
puts each feature on eight of the dimensions, with a sign ("feature hashing", Weinberger et al., 2009), which
keeps the angles between texts up to about 1/√dimensions.

No model is loaded, and none is meant: texts that say the same in other words are not near.  All is done in
whole numbers, of which only the last division makes floats, so that any machine gives the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["embed"]

_SPREAD = 8  # dimensions of a feature
_WEIGHT = 480  # of a word, of its beginning, and of all its groups of letters together
_FAINT = 12  # by which that of a word that says little is divided
_BEGINNING = 5  # letters
_LOUDNESS = 20  # of the features, above what makes each text differ from any other
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # Thai, Lao, Japanese, Chinese, Korean
_RUN = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?P<word>[^\W\d_{_UNSPACED}]+|\d+)|(?P<sign>[^\w\s])")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_FAINT_WORDS = frozenset(
    """
    a about all also an and any are as at be been being both but by can could did do does each else for from
    given had has have he her here his how i if in into is it its just may me more most must my no nor not of
    on only or other our out over own same she should so some such than that the their them then there these
    they this those to too under up upon us use used using was way we were what when where whether which while
    who whom whose why will with would you your
    aber alle als am an auch auf aus bei das dass dem den der des die durch ein eine einem einen einer eines
    er es für hat ich ihr im in ist kann mit nach nicht noch nur oder sich sie sind so über um und uns unter
    vom von vor war was wenn wer werden wie wir wird zu zum zur
    argument arguments class default false function method none object return returns true type value values
    """.split()  # noqa: SIM905 - one word a line would fill the page
)


def embed(text: str, model: str, dimensions: int, kept: int | None = None) -> NDArray[np.float32]:
    """The vector of `text`, of length 1.

    Args:
        text: any.
        model: two models do not understand each other's vectors.
        dimensions: that the model has.
        kept: how many of them, from the first on; the vector is made as long again as it was.
    """
    import numpy as np

    features = _weigh(text)
    person = hashlib.blake2b(model.encode(), digest_size=16).digest()
    size = 4 * _SPREAD
    digests = [hashlib.blake2b(f.encode(), digest_size=size, person=person).digest() for f in features]
    places = np.frombuffer(b"".join(digests), dtype="<u4")
    weights = np.repeat(np.fromiter(features.values(), dtype=np.int64), _SPREAD)
    own = np.frombuffer(hashlib.shake_128(person + text.encode()).digest(dimensions), dtype=np.uint8)
    vector = 2 * own.astype(np.int64) - 255  # odd, so that nothing cancels it out, however few are kept
    signed = np.where(places & 1, weights, -weights)
    np.add.at(vector, (places >> 1) % dimensions, 2 * _LOUDNESS * signed)
    vector = vector[:kept]
    return (vector / math.sqrt(int(vector @ vector))).astype(np.float32)


def _weigh(text: str) -> dict[str, int]:
    """The features of a text with their weights."""
    weights: dict[str, int] = {}
    counts = Counter[str]()
    for feature, weight in _features(text):
        weights[feature] = max(weight, weights.get(feature, 0))
        counts[feature] += 1
    return {feature: weight * counts[feature].bit_length() for feature, weight in weights.items()}


def _features(text: str) -> Iterator[tuple[str, int]]:
    for run in _RUN.finditer(unicodedata.normalize("NFKC", _HUMP.sub(" ", text)).casefold()):
        said = run[0]
        if run.lastgroup == "word":
            yield from _of_word(said, _WEIGHT // _FAINT if said in _FAINT_WORDS else _WEIGHT)
        elif run.lastgroup == "unspaced":
            yield from ((sign, _WEIGHT // 2) for sign in said)
            yield from ((a + b, _WEIGHT) for a, b in pairwise(said))
        else:
            yield said, _WEIGHT // _FAINT


def _of_word(word: str, weight: int) -> Iterator[tuple[str, int]]:
    yield f"{word} ", weight
    yield f"{word[:_BEGINNING]}-", weight
    framed = f"<{word}>"
    groups = [framed[i : i + size] for size in (3, 4) for i in range(len(framed) - size + 1)]
    yield from ((group, max(1, weight // len(groups))) for group in groups)

"""Texts cut into pieces about as long as a language model's tokens.

A real tokenizer needs a vocabulary of megabytes.  The pieces here follow the rules by which one splits
text before it merges bytes (words with their leading space, groups of up to three digits, runs of
punctuation, white space), with long words cut up.  Joined, the pieces are the text again.
"""

from __future__ import annotations

import re

__all__ = ["count", "pieces"]

_WIDE = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # scripts with about a token a sign
_PIECE = re.compile(
    rf" ?[^\W\d_{_WIDE}]{{1,7}}"
    rf"| ?[{_WIDE}]"
    r"| ?\d{1,3}"
    r"| ?[^\s\w]{1,3}"
    r"| ?_+"
    r"|\s+(?=\s)|\s",
)


def pieces(text: str) -> list[str]:
    """Cut `text` into token-like pieces: ``"".join(pieces(text)) == text``."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """About how many tokens `text` has."""
    return len(pieces(text))

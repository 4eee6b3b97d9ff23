"""What OpenAI keeps of a prompt by itself: its beginnings, in steps of 128 tokens.

Wire format: the OpenAI API reference, "Prompt caching".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from workbench.messages import Request
from workbench.tokens import pieces
from workbench.wire.dialect import Prefix, compact

__all__ = ["find_prefixes"]

_LEAST_TOKENS, _STEP_TOKENS = 1024, 128
_KEEP_SECONDS = 600  # "active for 5 to 10 minutes of inactivity"


def find_prefixes(request: Request) -> tuple[Prefix, ...]:
    """The prefixes of a prompt at which the cache may take it up; none if it is short.

    What the tools and the format of the answer are, each of them stands before the text.
    """
    if len(request.text) < _LEAST_TOKENS:
        return ()
    return tuple(_prefixes(request))


def _prefixes(request: Request) -> Iterator[Prefix]:
    before = request.model_dump(mode="json", include={"tools", "response_format"})
    digest = hashlib.blake2b(compact(before).encode(), digest_size=16)
    tokens = pieces(request.text)
    for end in range(_STEP_TOKENS, len(tokens) + 1, _STEP_TOKENS):
        digest.update("".join(tokens[end - _STEP_TOKENS : end]).encode())
        if end >= _LEAST_TOKENS:
            yield Prefix(digest.hexdigest(), end, _KEEP_SECONDS)

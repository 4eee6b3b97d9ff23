"""How sure a simulated model was of each token, and what it would have said instead.

A pure function of the model, the place and the token: the whole answer and its stream say the same.  The
probabilities of a token and of its alternatives sum to less than 1, as those of any list that is cut off do.
"""

from __future__ import annotations

import math
import random

from workbench.messages import Completion
from workbench.tokens import pieces
from workbench.wire.dialect import Call

__all__ = ["encode_logprobs", "encode_token", "encode_tokens"]

_ALTERNATIVES = (
    *(" the", " a", " and", " of", " to", " in", " is", " it", " that", " this", " for", " with", " as"),
    *(" by", " not", " so", " but", " each", " one", " their", ",", ".", "\n"),
)


def encode_logprobs(call: Call, completion: Completion) -> dict[str, object] | None:
    """Those of a whole choice; None if they were not asked for, or it says nothing."""
    if call.options.get("logprobs") is None or not completion.text:
        return None
    tokens = encode_tokens(call, completion.text)
    refused = completion.stop_reason == "refusal"
    return {"content": None if refused else tokens, "refusal": tokens if refused else None}


def encode_tokens(call: Call, text: str) -> list[dict[str, object]]:
    """Those of a text; none if they were not asked for."""
    if call.options.get("logprobs") is None:
        return []
    said = filter(None, pieces(text))  # a token that ends inside a character is told with the next
    return [encode_token(call, at, token) for at, token in enumerate(said)]


def encode_token(call: Call, position: int, token: str) -> dict[str, object]:
    """That of one token, with as many of the likeliest as the call asks for, itself among them."""
    request = call.request
    rng = random.Random(f"{request.model}/{position}/{token}")
    chosen = 0.9999 - 0.9 * rng.random() ** 3  # mostly sure
    if request.temperature == 0:
        chosen = (1 + chosen) / 2  # the likeliest
    others = [other for other in rng.sample(_ALTERNATIVES, len(_ALTERNATIVES)) if other != token]
    shares = [(1 - chosen) * 0.5**rank for rank in range(1, call.options["logprobs"])]
    likely = sorted([(chosen, token), *zip(shares, others, strict=False)], reverse=True)
    top = [_entry(share, other) for share, other in likely] if call.options["logprobs"] else []
    return {**_entry(chosen, token), "top_logprobs": top}


def _entry(probability: float, token: str) -> dict[str, object]:
    return {"token": token, "logprob": math.log(probability), "bytes": list(token.encode())}

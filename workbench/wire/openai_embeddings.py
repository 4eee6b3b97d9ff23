"""OpenAI's embeddings: the request, and the answer.

Wire format: the OpenAI API reference, "Embeddings"; checked by the SDK's own types.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from workbench.tokens import count
from workbench.wire.dialect import WireError, WireModel
from workbench.wire.openai_body import refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EmbeddingCall", "decode_embedding_request", "encode_embeddings"]

_MOST_INPUTS, _MOST_TOKENS = 2048, 300_000


@dataclass(frozen=True, slots=True)
class EmbeddingCall:
    """What is asked of a model that makes embeddings.

    Args:
        model: its name.
        texts: of each of which a vector is wanted.
        sizes: of each of them, in tokens.
        dimensions: of the vectors; None: as many as the model has.
        base64: whether they are to come as the bytes of 32-bit floats, not as numbers.
    """

    model: str
    texts: tuple[str, ...]
    sizes: tuple[int, ...]
    dimensions: int | None
    base64: bool


class _Body(WireModel):
    model: str
    input: str | list[str] | list[int] | list[list[int]]
    dimensions: int | None = Field(None, ge=1)
    encoding_format: Literal["float", "base64"] | None = None


def decode_embedding_request(body: Any) -> EmbeddingCall:
    """Understand the JSON of ``POST /embeddings``.

    Raises:
        WireError: it is wrong.
    """
    try:
        wire = _Body.model_validate(body)
    except ValidationError as error:
        raise refusal(error) from error
    inputs = _inputs(wire.input)
    if not all(inputs) or not inputs:
        raise WireError("invalid_request", "Invalid 'input': it must not be empty.", param="input")
    if len(inputs) > _MOST_INPUTS:
        message = (
            f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_INPUTS}, "
            f"but got an array with length {len(inputs)} instead."
        )
        raise WireError("invalid_request", message, param="input", code="array_above_max_length")
    sizes = tuple([count(given) if isinstance(given, str) else len(given) for given in inputs])
    if sum(sizes) > _MOST_TOKENS:
        message = f"Invalid 'input': maximum request size is {_MOST_TOKENS} tokens per request."
        raise WireError("invalid_request", message, param="input", code="max_tokens_per_request")
    texts = tuple(given if isinstance(given, str) else _text_of(given) for given in inputs)
    return EmbeddingCall(wire.model, texts, sizes, wire.dimensions, wire.encoding_format == "base64")


def _inputs(given: str | list[str] | list[int] | list[list[int]]) -> list[str | list[int]]:
    if isinstance(given, str):
        return [given]
    tokens = [one for one in given if isinstance(one, int)]
    return [tokens] if tokens else [one for one in given if not isinstance(one, int)]


def _text_of(tokens: Sequence[int]) -> str:
    """The text of which these are the tokens; without a tokenizer their numbers have to do for its words."""
    if find_spec("splintr") is None:
        return " ".join(map(str, tokens))
    try:
        return str(_cl100k().decode_bytes(list(tokens)).decode(errors="replace"))
    except (ValueError, OverflowError) as error:
        message = f"Invalid 'input': it contains a number that is no token ({error})."
        raise WireError("invalid_request", message, param="input", code="invalid_value") from None


@functools.cache
def _cl100k() -> Any:
    from splintr import Tokenizer

    return Tokenizer.from_pretrained("cl100k_base")


def encode_embeddings(
    call: EmbeddingCall, vectors: Sequence[NDArray[np.float32]], *, numbers: bool
) -> dict[str, object]:
    """A list of vectors.

    Args:
        call: what was asked.
        vectors: one for each text.
        numbers: they come as numbers, whatever was asked.
    """
    as_bytes = call.base64 and not numbers
    tokens = sum(call.sizes)
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode()
                if as_bytes
                else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ],
        "model": call.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }

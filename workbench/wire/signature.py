"""The signature under what a model has thought: it says that it was thought here, and not changed since.

As a real provider's it holds the thoughts themselves, so that they come back even where they are not shown.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

__all__ = ["is_signed", "sign"]

_SIZE = 16  # bytes of the digest


def sign(thinking: str) -> str:
    """The signature under `thinking`."""
    thought = thinking.encode()
    return base64.b64encode(_digest(thought) + thought).decode()


def is_signed(thinking: str, signature: str) -> bool:
    """Whether `signature` stands under `thinking`, or under thoughts that were not shown."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return False
    digest, thought = raw[:_SIZE], raw[_SIZE:]
    return digest == _digest(thought) and thinking.encode() in (b"", thought)


def _digest(thought: bytes) -> bytes:
    return hashlib.blake2b(thought, digest_size=_SIZE, key=b"workbench").digest()

"""Text from bytes that were cut anywhere: UTF-8, incrementally (WHATWG Encoding, section 8.1.1).

A character is held back only until its last byte has come, or until a byte shows that it never will.  (The
standard library's incremental decoder waits for a byte too many after ED A0 … ED BF, which begin none.)
"""

from __future__ import annotations

import re

__all__ = ["Utf8Decoder"]

# The Unicode Standard, table 3-7: the beginnings of well-formed sequences that lack one byte or more.
_BEGINNING = re.compile(
    rb"(?:[\xc2-\xdf]"
    rb"|\xe0[\xa0-\xbf]?|[\xe1-\xec\xee\xef][\x80-\xbf]?|\xed[\x80-\x9f]?"
    rb"|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3](?:[\x80-\xbf][\x80-\xbf]?)?|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?"
    rb")\Z"
)
_LONGEST = 3  # bytes of a beginning


class Utf8Decoder:
    """Decodes a stream of bytes; what is no UTF-8 becomes U+FFFD, as the standard says."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> str:
        """The text that `data` completes: the next bytes of the stream, cut anywhere."""
        data = self._held + data
        begun = _BEGINNING.search(data, max(0, len(data) - _LONGEST))
        whole = begun.start() if begun else len(data)
        self._held = data[whole:]
        return data[:whole].decode("utf-8", "replace")

    def end(self) -> str:
        """The stream is over: a character that it left incomplete is U+FFFD."""
        held, self._held = self._held, b""
        return held.decode("utf-8", "replace")

"""What a JSON object says while it is still being written, such as a tool call's arguments in a stream.

To parse the whole text again at each fragment is quadratic: a megabyte in fragments of a token takes minutes.
Here it is parsed again when it has grown by a fraction of itself, so that all parses together cost a
constant number of times the last one.  A view may lag behind by that fraction, and never says what the text
does not: a string grows, and anything else is there when it is whole.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic_core import from_json

__all__ = ["PartialJson"]

_NUMBER = "0123456789+-.eE"
_BEFORE_A_NUMBER = (":", ",", "[", " ", "\t", "\n", "\r")


class PartialJson:
    """A JSON object that comes in fragments.

    Args:
        lag: by which fraction of the text a view may be behind; all parses together read at most
            ``1 + 1 / lag`` times the text.
    """

    def __init__(self, *, lag: float = 0.05) -> None:
        if lag <= 0:
            raise ValueError(f"lag must be positive (without it the cost is quadratic), got {lag!r}")
        self._growth = 1 + lag
        self._fragments: list[str] = []
        self._length = 0
        self._due = 0.0
        self._view: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        text = "".join(self._fragments)
        self._fragments = [text]
        return text

    def feed(self, fragment: str) -> dict[str, Any]:
        """Take in the next fragment, and give a view that may lag behind; the same object if it is not new.

        Raises:
            ValueError: the text is not the beginning of a JSON object.
        """
        self._fragments.append(fragment)
        self._length += len(fragment)
        return self.view() if self._length >= self._due else self._view

    def view(self) -> dict[str, Any]:
        """Parse all that has come: the newest view.

        Raises:
            ValueError: the text is not the beginning of a JSON object.
        """
        self._due = self._length * self._growth
        text = self.text
        if text.strip():
            self._view = _object(_without_open_number(text), allow_partial="trailing-strings")
        return self._view

    def whole(self) -> dict[str, Any]:
        """The object, once the text has ended.

        Raises:
            ValueError: the text is not a JSON object.
        """
        return _object(self.text)


def _object(text: str, **options: Any) -> dict[str, Any]:
    value = from_json(text, allow_inf_nan=False, **options)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {text[:40]!r}")
    return cast("dict[str, Any]", value)


def _without_open_number(text: str) -> str:
    """`text` without a number at its end, which may go on: the parser would take 12 for the whole of 120.

    What looks like one may be the end of a string; then that comes a little later.
    """
    stem = text.rstrip(_NUMBER)
    return stem if stem.endswith(_BEFORE_A_NUMBER) else text

"""What was said in one exchange, and when: the data that a cassette holds.

All times are seconds since the request was sent.  `bytes` fields take text, too: UTF-8.
"""

from __future__ import annotations

from typing import Annotated, Self

import httpx2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "COMPLETE",
    "LEFT",
    "Ending",
    "Exchange",
    "Part",
    "RecordedRequest",
    "RecordedResponse",
    "error_class",
]

COMPLETE = "complete"  # the whole answer came
LEFT = "left"  # the client did not wait for the rest

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Latin1 = Annotated[str, Field(pattern=r"^[\x00-\xff]*$")]
Headers = dict[Latin1, Latin1]  # names in lower case; several of one name are joined by commas


def error_class(name: str) -> type[httpx2.TransportError] | None:
    """The class of httpx2's that an ending names; None for the endings that are no error."""
    found = getattr(httpx2, name, None)
    return found if isinstance(found, type) and issubclass(found, httpx2.TransportError) else None


def _ending(how: str) -> str:
    if how not in (COMPLETE, LEFT) and error_class(how) is None:
        raise ValueError(f"an exchange ends {COMPLETE!r}, {LEFT!r} or by one of httpx2's transport errors")
    return how


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RecordedRequest(_Data):
    """A request; of its headers only those that are safe to show and the same on every machine."""

    method: str
    url: str
    headers: Headers = {}
    body: bytes = b""


class Part(_Data):
    """The bytes that came at once."""

    at: Seconds
    body: bytes


class RecordedResponse(_Data):
    """An answer: its head, and its body as it came."""

    at: Seconds
    status: Annotated[int, Field(ge=100, le=999)]
    headers: Headers = {}
    parts: list[Part] = []

    @property
    def body(self) -> bytes:
        """The body as one."""
        return b"".join(part.body for part in self.parts)


class Ending(_Data):
    """How it ended: ``complete``, ``left`` (by the client), or the name of the error."""

    at: Seconds
    how: Annotated[str, AfterValidator(_ending)]
    message: str = ""


class Exchange(_Data):
    """One request and what came of it; there is no response where the head never came."""

    request: RecordedRequest
    response: RecordedResponse | None = None
    end: Ending

    @model_validator(mode="after")
    def _has_an_answer(self) -> Self:
        if self.response is None and self.end.how == COMPLETE:
            raise ValueError(f"an exchange that is {COMPLETE!r} has a response")
        return self

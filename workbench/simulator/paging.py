"""A page of a list, as Anthropic's API is asked for it: ``limit``, ``after_id``, ``before_id``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from workbench.simulator.reception import Visit
from workbench.simulator.store import Shelf
from workbench.wire.dialect import WireError

if TYPE_CHECKING:
    from workbench.simulator.engine import Engine

__all__ = ["reply_page"]

_DEFAULT, _MOST = 20, 1000


def reply_page(
    engine: Engine,
    visit: Visit,
    shelf: Shelf,
    view: Callable[[dict[str, Any]], dict[str, Any]],
    order: Literal["asc", "desc"] = "asc",
) -> None:
    """Answer by the page that the visit asks for; `view` is how an object is shown.

    Raises:
        WireError: the limit is none.
    """
    query = {name: values[-1] for name, values in visit.query().items()}
    after, before = query.get("after_id"), query.get("before_id")
    limit = _limit(query.get("limit", str(_DEFAULT)), lenient=engine.lenient)
    rows, more = shelf.page(visit.now, limit=limit, after=after, before=before, order=order)
    data = [view(row) for row in rows]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    engine.reply(visit, {"data": data, "has_more": more, "first_id": None, "last_id": None, **ends})


def _limit(text: str, *, lenient: bool) -> int:
    limit = int(text) if text.isascii() and text.isdigit() else -1
    if not (lenient or 1 <= limit <= _MOST):
        message = f"limit: Input should be a whole number from 1 to {_MOST}, got {text!r}"
        raise WireError("invalid_request", message, param="limit")
    return min(max(limit, 1), _MOST)

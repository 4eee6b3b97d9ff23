"""Lists as Anthropic's API pages through them."""

from __future__ import annotations

from typing import Any, Literal

from workbench.simulator.reception import Visit
from workbench.simulator.store import Shelf
from workbench.wire.dialect import WireError

__all__ = ["encode_page", "list_page"]

_DEFAULT, _MOST = 20, 1000


def list_page(
    visit: Visit, shelf: Shelf, *, order: Literal["asc", "desc"], lenient: bool
) -> tuple[list[dict[str, Any]], bool]:
    """The page that the query's `after_id`, `before_id` and `limit` ask for, and whether more follow.

    Args:
        visit: whose query it is.
        shelf: what is listed.
        order: by age; "asc": oldest first.
        lenient: take the nearest limit for one that is none.

    Raises:
        WireError: the limit is wrong.
    """
    query = visit.query()
    limit = _limit(query.get("limit", str(_DEFAULT)), lenient)
    after, before = query.get("after_id"), query.get("before_id")
    return shelf.page(visit.now, limit=limit, after=after, before=before, order=order)


def encode_page(rows: list[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """A page of objects; `more`: others follow."""
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return {"data": rows, "has_more": more, "first_id": first, "last_id": last}


def _limit(text: str, lenient: bool) -> int:
    limit = int(text[:9]) if text.isascii() and text.isdigit() else -1
    if not (lenient or 1 <= limit <= _MOST):
        message = f"limit: Input should be a whole number from 1 to {_MOST}, got {text!r}"
        raise WireError("invalid_request", message, param="limit")
    return min(max(limit, 1), _MOST)

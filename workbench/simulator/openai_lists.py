"""Lists of stored objects as OpenAI's API pages through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from workbench.simulator.reception import Visit
from workbench.simulator.store import Shelf
from workbench.wire.dialect import WireError

__all__ = ["encode_page", "list_page"]

_DEFAULT, _MOST = 20, 100


def list_page(
    visit: Visit,
    shelf: Shelf,
    *,
    order: Literal["asc", "desc"] = "asc",
    where: Callable[[dict[str, Any]], bool] = lambda body: True,
    lenient: bool = False,
) -> dict[str, Any]:
    """The page that the query's `after`, `before`, `limit` and `order` ask for.

    Args:
        visit: whose query it is.
        shelf: what is listed.
        order: by age, where the query names none; "asc": oldest first.
        where: which objects count.
        lenient: take a limit of 0 for none.

    Raises:
        WireError: the limit or the order is wrong.
    """
    query = visit.query()
    given = query.get("order", order)
    if given not in ("asc", "desc"):
        message = f"Invalid value: '{given}'. Supported values are: 'asc' and 'desc'."
        raise WireError("invalid_request", message, param="order", code="invalid_value")
    rows, more = shelf.page(
        visit.now,
        limit=_limit(query.get("limit"), lenient),
        after=query.get("after"),
        before=query.get("before"),
        order="desc" if given == "desc" else "asc",
        where=where,
    )
    return encode_page(rows, more=more)


def encode_page(rows: list[dict[str, Any]], *, more: bool = False) -> dict[str, Any]:
    """A page of objects; `more`: others follow."""
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return {"object": "list", "data": rows, "first_id": first, "last_id": last, "has_more": more}


def _limit(text: str | None, lenient: bool) -> int:
    if text is None or (lenient and text == "0"):
        return _DEFAULT
    if not (text.isascii() and text.isdigit()):
        message = f"Invalid type for 'limit': expected an integer, but got '{text}' instead."
        raise WireError("invalid_request", message, param="limit", code="invalid_type")
    limit = int(text[:9])
    if limit < 1:
        what = f"integer below minimum value. Expected a value >= 1, but got {limit} instead."
        code = "integer_below_min_value"
    elif limit > _MOST:
        what = f"integer above maximum value. Expected a value <= {_MOST}, but got {limit} instead."
        code = "integer_above_max_value"
    else:
        return limit
    raise WireError("invalid_request", f"Invalid 'limit': {what}", param="limit", code=code)

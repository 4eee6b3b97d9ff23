"""What a provider keeps: the objects of one kind that one key has made, oldest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from workbench.simulator.exchange import Exchange

__all__ = ["Item", "Shelf"]


@dataclass(slots=True)
class Item:
    """One object as its API shows it; there once the exchange that makes it has come to its end."""

    id: str
    body: dict[str, Any]
    maker: Exchange | None = None

    def is_there(self, now: float) -> bool:
        """Whether it is made; what its client has given up on never will be."""
        return self.maker is None or self.maker.complete(now)


class Shelf:
    """Objects by id, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._deleted: set[str] = set()

    def put(self, item: Item) -> Item:
        """Keep `item`."""
        self._items[item.id] = item
        return item

    def get(self, identity: str, now: float) -> Item | None:
        """The item of that id, if it is there."""
        item = self._items.get(identity)
        return item if item is not None and item.is_there(now) else None

    def was_deleted(self, identity: str) -> bool:
        """Whether there once was such an item."""
        return identity in self._deleted

    def delete(self, identity: str) -> None:
        """Forget the item of that id."""
        self._items.pop(identity, None)
        self._deleted.add(identity)

    def items(self, now: float) -> Iterator[Item]:
        """All that are there, oldest first."""
        return (item for item in self._items.values() if item.is_there(now))

    def page(
        self,
        now: float,
        *,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        order: Literal["asc", "desc"] = "asc",
        where: Callable[[dict[str, Any]], bool] = lambda body: True,
    ) -> tuple[list[dict[str, Any]], bool]:
        """A page of the list, and whether more follow.

        Args:
            now: the instant at which it is asked for.
            limit: how many at the most.
            after: the id behind which the page begins; an id that is not there begins it at the start.
            before: the id in front of which the page ends.
            order: by age; "asc": oldest first.
            where: which objects count.
        """
        rows = [item for item in self.items(now) if where(item.body)]
        if order == "desc":
            rows.reverse()
        ids = [item.id for item in rows]
        start = ids.index(after) + 1 if after in ids else 0
        if before in ids:
            end = ids.index(before)
            rows = rows[max(start, end - limit) : end]
            return [item.body for item in rows], end - limit > start
        return [item.body for item in rows[start : start + limit]], start + limit < len(rows)

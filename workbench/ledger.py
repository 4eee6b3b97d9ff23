"""Who spent what: the tokens and the cost of each call, by caller, service, key and model.

    ledger = Ledger()                          # in memory; Ledger("spend.sqlite") keeps it
    ledger.add(answer, caller="summaries")     # after each call
    ledger.by("caller")                        # the expensive ones first

What is counted is what the provider said that it charged for; an estimate has no place here.  A key is known
by its fingerprint alone.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from workbench.clock import date
from workbench.messages import Usage
from workbench.prices import Prices

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ledger", "fingerprint", "usage_of"]

_TOKENS = tuple(Usage.model_fields)
_GROUPS = ("caller", "service", "key", "model", "day")
_COLUMNS = ("at", "request", "caller", "service", "key", "model", *_TOKENS, "cost")
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in _TOKENS[:3])


class Ledger:
    """A record of calls, in memory or in a SQLite file; tasks and threads may share one.

    Args:
        path: the file, which may be there already; by default it is all in memory.
        prices: what tokens cost; None: the table that comes with the package.
    """

    def __init__(self, path: str | Path = ":memory:", *, prices: Prices | None = None) -> None:
        self.prices = prices or Prices.shipped()
        self._lock = Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")  # a commit waits for no disk, and so holds up no loop
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(f"CREATE TABLE IF NOT EXISTS calls ({', '.join(_COLUMNS)})")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self._rows("SELECT count(*) FROM calls")[0][0])

    def __repr__(self) -> str:
        return f"<Ledger: {len(self)} calls, ${self.cost:.4f}>"

    def add(
        self, answer: Any, *, caller: str = "", service: str = "", key: str = "", model: str = ""
    ) -> float | None:
        """Record a call; at its end, or at that of its stream.

        Args:
            answer: a :class:`~workbench.messages.Completion`, or what either SDK gives: an answer, or the
                chunk or event of a stream that has the usage.
            caller: the part of the program that asked.
            service: what it belongs to.
            key: the API key; its :func:`fingerprint` is kept.
            model: what was asked for; by default, what the answer says.

        Returns:
            what it cost, in dollars; None where the table has no price for the model.

        Raises:
            TypeError: the answer says nothing of its usage.
        """
        usage, now, model = usage_of(answer), date(), model or str(getattr(answer, "model", ""))
        price = self.prices.of(model, now.date())
        cost = None if price is None else price.cost(usage)
        row = [now.isoformat(), getattr(answer, "id", ""), caller, service, key and fingerprint(key), model]
        row += [getattr(usage, name) for name in _TOKENS]
        self._rows(f"INSERT INTO calls VALUES ({', '.join('?' * len(_COLUMNS))})", *row, cost)
        return cost

    @property
    def cost(self) -> float:
        """What all of it cost, in dollars, as far as there are prices."""
        return float(self._rows("SELECT total(cost) FROM calls")[0][0])

    def by(self, *columns: str) -> pd.DataFrame:
        """Sums, the most expensive first.

        Args:
            columns: what to sum by: ``caller``, ``service``, ``key``, ``model`` or ``day``, one or several.

        Returns:
            one row for each group: `calls`, `unpriced` (of them, those without a price), `input_tokens`,
            `cached_tokens`, `output_tokens`, `cost`, and its `share` of all costs.

        Raises:
            ValueError: there is no such column.
        """
        if not columns or not set(columns) <= set(_GROUPS):
            raise ValueError(f"by() takes one or more of {', '.join(_GROUPS)}, got {columns!r}")
        import pandas as pd

        names = ", ".join("date(at) AS day" if name == "day" else name for name in columns)
        group = ", ".join(columns)
        frame = self._frame(
            f"SELECT {names}, count(*) AS calls, count(*) - count(cost) AS unpriced, {_SUMS}, "
            f"total(cost) AS cost FROM calls GROUP BY {group} "
            f"ORDER BY total(cost) DESC, sum(input_tokens + output_tokens) DESC, {group}"
        )
        whole = frame["cost"].sum()
        frame["share"] = frame["cost"] / whole if whole else 0.0
        index = pd.MultiIndex.from_frame(frame[list(columns)]) if len(columns) > 1 else frame[columns[0]]
        return frame.drop(columns=list(columns)).set_index(index)

    def to_frame(self) -> pd.DataFrame:
        """One row for each call, in the order of recording; a call without a price costs NaN."""
        import pandas as pd

        frame = self._frame("SELECT * FROM calls ORDER BY rowid").astype({"cost": float})
        frame["at"] = pd.to_datetime(frame["at"], utc=True, format="ISO8601")
        return frame

    def close(self) -> None:
        """Close the file; a ledger in memory is gone."""
        self._db.close()

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def _frame(self, statement: str) -> pd.DataFrame:
        import pandas as pd

        with self._lock, closing(self._db.execute(statement)) as cursor:
            return pd.DataFrame(cursor.fetchall(), columns=[name for name, *_ in cursor.description])


def fingerprint(key: str) -> str:
    """Twelve digits that tell a key from others and do not give it away."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def usage_of(answer: Any) -> Usage:
    """The usage that an answer tells of, whichever API it is from.

    Raises:
        TypeError: it tells of none.
    """
    usage = getattr(answer, "usage", None)
    if isinstance(usage, Usage):
        return usage
    if usage is None:
        hint = "of a stream, the last chunk has it (OpenAI: stream_options={'include_usage': True})"
        raise TypeError(f"this {type(answer).__name__} has no usage; {hint}")
    said: Mapping[str, Any] = usage.model_dump()
    prompt = said.get("prompt_tokens_details") or said.get("input_tokens_details") or {}
    output = said.get("completion_tokens_details") or said.get("output_tokens_details") or {}
    read = said.get("cache_read_input_tokens") or 0  # Anthropic counts them beside the input tokens,
    written = said.get("cache_creation_input_tokens") or 0
    return Usage(
        input_tokens=(said.get("prompt_tokens") or said.get("input_tokens") or 0) + read + written,
        output_tokens=said.get("completion_tokens") or said.get("output_tokens") or 0,
        cached_tokens=read or prompt.get("cached_tokens") or 0,  # and OpenAI among them
        cache_write_tokens=written or prompt.get("cache_write_tokens") or 0,
        thinking_tokens=output.get("reasoning_tokens") or output.get("thinking_tokens") or 0,
    )

"""What a call costs: a dated table of prices, which is data (`prices.toml`) and anybody's to replace."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import date
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workbench.errors import ConfigurationError
from workbench.messages import Usage

__all__ = ["Price", "Prices"]


class Price(BaseModel):
    """What tokens cost from a day on.

    Args:
        since: the first day on which it holds.
        models: names of models, or patterns with ``*``.
        input: dollars for a million input tokens.
        output: dollars for a million output tokens.
        cache_read: what an input token costs that comes from a cache, as a factor of `input`.
        cache_write: what one costs that is written to it, likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: date = date.min
    models: tuple[str, ...] = ("*",)
    input: float = Field(ge=0)
    output: float = Field(default=0, ge=0)
    cache_read: float = Field(default=0.1, ge=0)  # both providers' newest price lists
    cache_write: float = Field(default=1.25, ge=0)

    def cost(self, usage: Usage) -> float:
        """What a call costs, in dollars."""
        read, written = usage.cached_tokens, usage.cache_write_tokens
        fresh = usage.input_tokens - read - written
        input_tokens = fresh + self.cache_read * read + self.cache_write * written
        return (input_tokens * self.input + usage.output_tokens * self.output) / 1e6


class Prices:
    """A table of prices.

    Args:
        rows: its prices; for one model there may be several, since prices change.
    """

    def __init__(self, rows: Iterable[Price]) -> None:
        self.rows = tuple(rows)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a table of the form of this package's `prices.toml`.

        Raises:
            ConfigurationError: it is no such table.
        """
        try:
            rows = tomllib.loads(Path(path).read_text(encoding="utf-8"))["price"]
            return cls([Price.model_validate(row) for row in rows])
        except (KeyError, TypeError, ValidationError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"{str(path)!r} is no table of [[price]] rows: {error}") from error

    @classmethod
    @cache
    def shipped(cls) -> Self:
        """The table that comes with this package."""
        return cls.load(str(files("workbench").joinpath("prices.toml")))

    def of(self, model: str, day: date) -> Price | None:
        """The price of a model on a day (before the first, that of the first); None if it has none."""
        fits = [
            (len(pattern), row) for row in self.rows for pattern in row.models if fnmatchcase(model, pattern)
        ]
        if not fits:
            return None
        longest = max(length for length, _ in fits)
        rows = sorted((row for length, row in fits if length == longest), key=lambda row: row.since)
        return next((row for row in reversed(rows) if row.since <= day), rows[0])

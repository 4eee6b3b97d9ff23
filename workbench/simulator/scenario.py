"""A simulator's settings in a file: TOML, checked when it is read, the same in process and on a server.

Some scenarios come with the workbench (``workbench/simulator/scenarios/``) and are known by their names; they
are there to be copied.  Whatever is not said stays as it is built in.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from workbench.errors import ConfigurationError
from workbench.messages import ToolCall
from workbench.simulator.catalog import CATALOG
from workbench.simulator.models import Faults, ModelProfile, RateLimits

__all__ = ["Scenario", "names"]

_SHIPPED = files("workbench.simulator") / "scenarios"


def _on_the_built_in(entry: Any) -> Any:
    """An entry that has the name of a built-in model says how it differs from that."""
    if not isinstance(entry, dict):
        return entry
    identity = entry.get("provider"), entry.get("name")
    built_in = next((dict(m) for m in CATALOG if (m.provider, m.name) == identity), {})
    return built_in | entry


def _keys(keys: Any) -> Any:
    """A list of keys, or a table of their scopes."""
    if not isinstance(keys, list):
        return keys
    if not all(isinstance(key, str) for key in keys):
        raise ValueError("keys are texts")
    return dict.fromkeys(keys, "all")


def _scopes(scopes: Any) -> Any:
    if not (scopes == "all" or isinstance(scopes, list)):
        raise ValueError('the scopes of a key are a list, or "all"')
    return None if scopes == "all" else scopes


def _script(script: Any) -> Any:
    """A text, a list of answers, or a table from a part of the prompt to the answer."""
    if isinstance(script, dict):
        return {part: _answer(answer) for part, answer in script.items()}
    return [_answer(answer) for answer in script] if isinstance(script, list) else _answer(script)


def _answer(answer: Any) -> Any:
    """A text, or a list of tool calls."""
    if isinstance(answer, str):
        return answer
    try:
        return [ToolCall(**{"id": "", **call}) for call in answer]
    except (TypeError, ValidationError):
        allowed = 'a text, or a list of tool calls: [{ name = "…", arguments = "{…}" }]'
        raise ValueError(f"an answer is {allowed}, not {answer!r}") from None


class Scenario(BaseModel):
    """What a scenario file says; the fields are the arguments of ``Simulator``.

    Args:
        title: what it is about.
        seed: of everything that is random.
        models: that replace or join the built-in ones; what an entry with the name and provider of a built-in
            one does not say stays as it is there.
        limits: rate limits of every model, instead of each model's own.
        slots: requests that each model serves at once, instead of each model's own.
        faults: what goes wrong, how often and when.
        keys: those that are accepted: a list, or a table of the scopes of each (``"all"``: for everything).
        script: what the models say: a text, a list of answers, or a table from a part of the prompt to the
            answer. An answer is a text, or a list of tool calls.
        edge_latency: seconds that every answer takes besides the model's own time.
        max_body_bytes: a larger request is refused with status 413.
        key_limits: rate limits of single keys, in place of each model's own.
        budget: dollars that each key may spend.
        lenient: answer for models and objects that it has never heard of.
        float_embeddings: answer by numbers where embeddings are asked for in base64.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    title: str = ""
    seed: int = Field(default=0, strict=True)
    models: tuple[Annotated[ModelProfile, BeforeValidator(_on_the_built_in)], ...] = ()
    limits: RateLimits | None = None
    slots: int | None = Field(default=None, ge=1)
    faults: Faults = Faults()
    keys: Annotated[
        dict[str, Annotated[tuple[str, ...] | None, BeforeValidator(_scopes)]] | None, BeforeValidator(_keys)
    ] = None
    script: Annotated[Any, BeforeValidator(_script)] = None
    edge_latency: float = Field(default=0.02, gt=0)
    max_body_bytes: int = Field(default=32_000_000, ge=1)
    key_limits: dict[str, RateLimits] = {}
    budget: float | None = Field(default=None, ge=0)
    lenient: bool = False
    float_embeddings: bool = False

    @classmethod
    def load(cls, name_or_path: str | Path) -> Scenario:
        """Read a scenario.

        Args:
            name_or_path: the name of one that comes with the workbench, or the path of a ``.toml`` file.

        Raises:
            ConfigurationError: it is not there, or something in it is wrong; the message says what, where,
                and what is allowed.
        """
        where, text = _read(name_or_path)
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{where} is no TOML: {error}") from None
        except ValidationError as error:
            faults = "".join(f"\n  {_explain(each)}" for each in error.errors(include_url=False))
            raise ConfigurationError(f"{where} is no scenario:{faults}") from None

    def settings(self) -> dict[str, Any]:
        """The arguments of ``Simulator``."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "title"}


def names() -> list[str]:
    """The scenarios that come with the workbench."""
    return sorted(
        each.name.removesuffix(".toml") for each in _SHIPPED.iterdir() if each.name.endswith(".toml")
    )


def _read(name_or_path: str | Path) -> tuple[str, str]:
    """The scenario's name, for messages, and its text."""
    name = str(name_or_path)
    if name in names():
        return f"scenario {name!r}", (_SHIPPED / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name_or_path)
    try:
        return str(path), path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(names())
        message = f"there is no scenario {name!r}: it is neither a file nor one of {known}"
        raise ConfigurationError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the scenario {name!r}: {error}") from error


def _explain(error: Any) -> str:
    """One line: the place, what is wrong, the value."""
    place = [part for part in error["loc"] if not str(part).startswith("function-")]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    if error["type"] == "extra_forbidden":
        allowed = ", ".join(_settings(place[:-1]))
        return f"{where}: there is no such setting; allowed are {allowed}"
    if error["type"] == "missing":
        return f"{where}: is missing"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}, got {error['input']!r}"


def _settings(place: list[int | str]) -> list[str]:
    """The settings at a place in a scenario."""
    model: type[BaseModel] = Scenario
    for part in place:
        if part in model.model_fields:
            model = next(_models_in(model.model_fields[str(part)].annotation), model)
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)

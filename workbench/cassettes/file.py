"""Cassettes as files: YAML that people read, from which every byte comes back.

A body is text where it is UTF-8, with its lines as lines, and base64 (YAML's ``!!binary``) where it is not.
The file is the same whether PyYAML has its C parts or not: they are used for reading only.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from workbench.cassettes.exchange import Exchange
from workbench.errors import CassetteFormatError

__all__ = ["dump", "from_yaml", "load", "parse", "read", "to_yaml", "validated", "write"]

_FORMAT, _VERSION = "workbench_cassette", 1
_TITLE = "# HTTP, recorded by workbench without its secrets; times are seconds since the request was sent.\n"
T = TypeVar("T")
_EXCHANGES = TypeAdapter(list[Exchange])
# What PyYAML cannot write as it is, or takes for the end of a line.
_SPECIAL = re.compile("[^\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    block = "\n" in text or text.startswith(("{", "["))
    style = '"' if _SPECIAL.search(text) else "|" if block else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _bytes(dumper: yaml.SafeDumper, data: bytes) -> yaml.Node:
    try:
        return _text(dumper, data.decode())
    except UnicodeDecodeError:
        return dumper.represent_binary(data)


def _seconds(dumper: yaml.SafeDumper, seconds: float) -> yaml.Node:
    whole, _, fraction = f"{seconds:.9f}".partition(".")
    return dumper.represent_scalar("tag:yaml.org,2002:float", f"{whole}.{fraction.rstrip('0') or '0'}")


_Dumper.add_representer(str, _text)
_Dumper.add_representer(bytes, _bytes)
_Dumper.add_representer(float, _seconds)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # whichever is there
    pass


def _binary(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bytes:
    try:
        return base64.b64decode(
            "".join(node.value.split()), validate=True
        )  # PyYAML's own skips what is wrong
    except ValueError as error:
        raise yaml.constructor.ConstructorError(None, None, f"no base64: {error}", node.start_mark) from None


_Loader.add_constructor("tag:yaml.org,2002:binary", _binary)


def to_yaml(data: Any) -> str:
    """Plain data as YAML, always in the same words."""
    return yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1_000_000)


def from_yaml(text: str, name: str) -> Any:
    """The data in a YAML text; `name` is that of its file.

    Raises:
        CassetteFormatError: it is no YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise CassetteFormatError(f"{name}{line}: this is no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise CassetteFormatError(f"{name}: this is no YAML: {error}") from None
    except (ValueError, RecursionError) as error:  # no date, or nested too deep
        raise CassetteFormatError(f"{name}: this is no YAML: {type(error).__name__}") from None


def dump(exchanges: Sequence[Exchange]) -> str:
    """The text of a cassette."""
    plain = [exchange.model_dump(exclude_defaults=True) for exchange in exchanges]
    return _TITLE + to_yaml({_FORMAT: _VERSION, "exchanges": plain})


def parse(text: str, name: str) -> list[Exchange]:
    """The exchanges in the text of a cassette; `name` is that of its file.

    Raises:
        CassetteFormatError: it is damaged, or no cassette, or of an unknown version.
    """
    data = from_yaml(text, name)
    if not isinstance(data, dict) or _FORMAT not in data:
        vcrpy = isinstance(data, dict) and "interactions" in data
        advice = "; it is vcrpy's: convert it by workbench.cassettes.import_vcr" if vcrpy else ""
        raise CassetteFormatError(f"{name}: this is no cassette, it has no {_FORMAT!r}{advice}")
    if data[_FORMAT] != _VERSION:
        known = f"this workbench reads version {_VERSION}: use a newer one, or record again"
        raise CassetteFormatError(f"{name}: the cassette has version {data[_FORMAT]!r}; {known}")
    return validated(_EXCHANGES, "exchanges", data, text, name)


def validated(kind: TypeAdapter[T], part: str, data: dict[Any, Any], text: str, name: str) -> T:
    """A part of the `data` that a text holds, of the `kind` that it should be.

    Raises:
        CassetteFormatError: it is not; the message says what is wrong, and in which line.
    """
    try:
        return kind.validate_python(data.get(part))
    except ValidationError as error:
        first = error.errors()[0]
        place = (part, *first["loc"])
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)[1:]
        message = f"{name}:{_line(text, place)}: {where}: {first['msg']}"
        raise CassetteFormatError(message) from None  # pydantic's own would show what may be secret


def _line(text: str, place: Sequence[int | str]) -> int:
    """The line, from 1, of what stands at `place`, or of what it should stand in."""
    node: Any = yaml.compose(text, Loader=_Loader)
    for step in place:
        if isinstance(node, yaml.MappingNode):
            inside: dict[Any, Any] = {key.value: value for key, value in node.value}
        elif isinstance(node, yaml.SequenceNode):
            inside = dict(enumerate(node.value))
        else:
            break
        if step not in inside:
            break
        node = inside[step]
    return int(node.start_mark.line) + 1


def load(path: Path) -> list[Exchange]:
    """The exchanges in a file.

    Raises:
        CassetteFormatError: as :func:`parse`.
    """
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """The text of a file.

    Raises:
        CassetteFormatError: it is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CassetteFormatError(f"{path}: this is no text: {error}") from error


def write(path: Path, text: str) -> None:
    """Put `text` in the place of a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise

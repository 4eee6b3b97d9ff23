"""Sample values that satisfy a JSON schema, with words and numbers from the prompt where they fit.

Covers what the providers accept in tools and structured output (JSON Schema 2020-12: types, enum, const,
$ref, anyOf/oneOf/allOf, objects, arrays, bounds, formats, patterns).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from rstr import Rstr

from workbench.errors import ConfigurationError

__all__ = ["sample"]

_MOST = 10_000  # values, items or characters: what asks for more would never end
_DEPTH = 8  # of nested optional values: a recursive schema ends there
_NAME = re.compile(r"\b[A-ZÀ-Þ][\w’'-]+(?: [A-ZÀ-Þ][\w’'-]+)*")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORDS = ("alpha", "blue", "café", "delta", "echo", "garden", "naïve", "signal", "vector", "window")
_FORMATS: dict[str, Callable[[random.Random], str]] = {
    "date": lambda rng: f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
    "time": lambda rng: f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00Z",
    "date-time": lambda rng: f"2025-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T12:00:00Z",
    "duration": lambda rng: f"PT{rng.randint(1, 90)}M",
    "email": lambda rng: f"{rng.choice('abcdefg')}.{rng.choice(_WORDS[:2])}@example.com",
    "hostname": lambda rng: f"host-{rng.randint(1, 99)}.example.com",
    "ipv4": lambda rng: f"192.0.2.{rng.randint(1, 254)}",
    "ipv6": lambda rng: f"2001:db8::{rng.randint(1, 65535):x}",
    "uri": lambda rng: f"https://example.com/{rng.randint(1, 999)}",
    "uuid": lambda rng: "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}".format(
        *(rng.getrandbits(bits) for bits in (32, 16, 12, 12, 48))
    ),
}


def sample(schema: Mapping[str, Any], rng: random.Random, hints: str = "") -> Any:
    """A JSON value that satisfies `schema`.

    Args:
        schema: a JSON schema.
        rng: where choices come from.
        hints: a text whose names and numbers are used where they satisfy the schema.

    Raises:
        ConfigurationError: the schema uses something that is not supported, or contradicts itself.
    """
    try:
        return _Sampler(schema, rng, hints).value(schema, 0)
    except ConfigurationError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise ConfigurationError(f"this is no JSON schema that can be satisfied: {error!r}") from error


class _Sampler:
    def __init__(self, root: Mapping[str, Any], rng: random.Random, hints: str) -> None:
        self._root, self._rng = root, rng
        self._left = _MOST
        found = [(match.start(), match.group()) for match in _NAME.finditer(hints)]
        first = [name for at, name in found if at and hints[at - 2 : at - 1] not in ".!?\n"]
        self._names = [*first, *(name for _, name in found if name not in first)]
        self._numbers = [float(number) for number in _NUMBER.findall(hints)]

    def value(self, schema: Any, depth: int) -> Any:
        schema = self._resolve(schema, depth)
        self._left -= 1
        sizes = [schema.get(key, 0) for key in ("minLength", "minItems", "minProperties")]
        if self._left < 0 or any(isinstance(size, int | float) and size > _MOST for size in sizes):
            raise ConfigurationError(f"the schema asks for more than {_MOST} values or characters")
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        kind = self._kind(schema, depth)
        makers: dict[str, Callable[[Mapping[str, Any], int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, _depth: self._rng.random() < 0.5,
            "null": lambda _schema, _depth: None,
        }
        if kind not in makers:
            raise ConfigurationError(f"a JSON schema's type must be one of {sorted(makers)}, got {kind!r}")
        return makers[kind](schema, depth)

    def _resolve(self, start: Any, depth: int) -> Mapping[str, Any]:
        """Follow references and choose among alternatives, until plain keywords are left."""
        if start is True:
            return {"type": "string"}
        if not isinstance(start, Mapping):
            raise ConfigurationError(f"a JSON schema must be an object, got {start!r}")
        schema: Mapping[str, Any] = start
        for _ in range(100):
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._target(schema["$ref"]), **rest}
            elif "allOf" in schema:
                rest = {key: value for key, value in schema.items() if key != "allOf"}
                schema = _merge([rest, *(self._resolve(part, depth) for part in schema["allOf"])])
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                schema = _merge([rest, self._option(options, depth)])
            else:
                return schema
        raise ConfigurationError(f"the schema's references go round in circles: {schema!r}")

    def _option(self, options: Sequence[Mapping[str, Any]], depth: int) -> Mapping[str, Any]:
        if depth >= _DEPTH:
            return min(options, key=lambda option: len(str(self._resolve(option, depth))))
        plain = [option for option in options if option.get("type") != "null"]
        return self._rng.choice(plain or list(options))

    def _target(self, reference: str) -> Mapping[str, Any]:
        target: Any = self._root
        try:
            for part in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
                target = target[part.replace("~1", "/").replace("~0", "~")]
        except (KeyError, TypeError):
            raise ConfigurationError(f"the schema has nothing at its $ref {reference!r}") from None
        if not isinstance(target, Mapping):
            raise ConfigurationError(f"the schema's $ref {reference!r} leads to {target!r}, not to a schema")
        return target

    def _kind(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            if depth >= _DEPTH and "null" in kind:
                return "null"
            return next((k for k in kind if k != "null"), "null")
        if kind is not None:
            return kind
        if "properties" in schema or "required" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        if "minimum" in schema or "maximum" in schema or "multipleOf" in schema:
            return "number"
        return "string"

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        names = [n for n in properties if n in required or depth < _DEPTH // 2]
        names += [name for name in required if name not in properties]
        extra = schema.get("additionalProperties", True)
        rest = extra if isinstance(extra, Mapping) else {"type": "string"}
        made = {name: self.value(properties.get(name, rest), depth + 1) for name in names}
        number = 0
        while len(made) < schema.get("minProperties", 0):
            number += 1
            made.setdefault(f"key{number}", self.value(rest, depth + 1))
        return made

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        fixed = [self.value(item, depth + 1) for item in schema.get("prefixItems", ())]
        least = schema.get("minItems", 0 if depth >= _DEPTH else min(1, schema.get("maxItems", 1)))
        most = least if depth >= _DEPTH else schema.get("maxItems", max(least, 3))
        size = self._rng.randint(least, max(least, min(most, least + 2)))
        items = schema.get("items", {"type": "string"})
        tries = 0
        while len(fixed) < size and items is not False:
            item = self.value(items, depth + 1)
            tries += 1
            if not schema.get("uniqueItems") or item not in fixed:
                fixed.append(item)
            elif tries > 50 * size:
                if len(fixed) >= least:
                    break
                raise ConfigurationError(f"found no {least} different items for {schema!r}")
        return fixed

    def _string(self, schema: Mapping[str, Any], depth: int) -> str:
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if least > most:
            raise ConfigurationError(f"no text satisfies {dict(schema)!r}")
        if pattern := schema.get("pattern"):
            return _match(pattern, self._rng, least, most)
        if (form := schema.get("format")) in _FORMATS:
            return _FORMATS[form](self._rng)
        for name in self._names:
            if least <= len(name) <= most:
                self._names.remove(name)
                return name
        text = " ".join(self._rng.sample(_WORDS, 2))
        while len(text) < least:
            text += " " + self._rng.choice(_WORDS)
        return text[: int(min(most, len(text)))]

    def _integer(self, schema: Mapping[str, Any], depth: int) -> int:
        step = Fraction(str(schema.get("multipleOf", 1))).numerator  # an integer is a multiple of 2.5 if of 5
        first, last = _multiples(schema, step)
        for number in self._numbers:
            if number.is_integer() and number % step == 0 and first * step <= number <= last * step:
                self._numbers.remove(number)
                return int(number)
        return self._rng.randint(first, last) * step

    def _number(self, schema: Mapping[str, Any], depth: int) -> float | int:
        if "multipleOf" in schema:
            return self._multiple(schema, schema["multipleOf"])
        for number in self._numbers:
            if _allows(schema, number):
                self._numbers.remove(number)
                return number
        low, high = _bounds(schema)
        for value in (round(self._rng.uniform(low, high), 2), (low + high) / 2):
            if _allows(schema, value):
                return value
        raise ConfigurationError(f"no number satisfies {dict(schema)!r}")

    def _multiple(self, schema: Mapping[str, Any], step: float) -> float:
        first, last = _multiples(schema, step)
        for _ in range(100):
            value = self._rng.randint(first, last) * step
            if _allows(schema, value) and value / step == value // step:  # 7 * 0.01 is no multiple of 0.01
                return value
        raise ConfigurationError(f"found no multiple of {step!r} for {dict(schema)!r}")


def _allows(schema: Mapping[str, Any], number: float) -> bool:
    """Whether a number is within a schema's bounds."""
    low = max(schema.get("minimum", number), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", number), schema.get("exclusiveMaximum", math.inf))
    excluded = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    return bool(low <= number <= high) and number not in excluded


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    """The range of a schema's numbers; a hundred where it is open."""
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    if low == -math.inf:
        low = min(0, high - 100) if high < math.inf else 0
    if high == math.inf:
        high = low + 100
    if low > high:
        raise ConfigurationError(f"no number satisfies {dict(schema)!r}")
    return low, high


def _multiples(schema: Mapping[str, Any], step: float) -> tuple[int, int]:
    """The first and the last number by which `step` may be multiplied."""
    low, high = _bounds(schema)
    first, last = math.ceil(low / step), math.floor(high / step)
    first += first * step == schema.get("exclusiveMinimum")
    last -= last * step == schema.get("exclusiveMaximum")
    if first > last:
        raise ConfigurationError(f"no multiple of {step!r} satisfies {dict(schema)!r}")
    return first, last


def _merge(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One schema that demands what all of `parts` demand."""
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            merged[key] = _both(key, merged[key], value) if key in merged else value
    return merged


def _both(key: str, old: Any, new: Any) -> Any:
    """What a keyword demands that stands in two schemas."""
    if key == "properties":
        shared = {name: {"allOf": [old[name], new[name]]} for name in old if name in new}
        return {**old, **new, **shared}
    if key == "required":
        return [*old, *(name for name in new if name not in old)]
    if key == "enum":
        return [value for value in old if value in new]
    if key in ("minimum", "minLength", "minItems", "exclusiveMinimum"):
        return max(old, new)
    if key in ("maximum", "maxLength", "maxItems", "exclusiveMaximum"):
        return min(old, new)
    return "integer" if key == "type" and {"integer", "number"} == {str(old), str(new)} else new


def _match(pattern: str, rng: random.Random, least: int, most: float) -> str:
    """A text of `least` to `most` characters that the regular expression `pattern` finds itself in."""
    try:
        for _ in range(100):
            text = Rstr(rng).xeger(pattern)
            if least <= len(text) <= most and re.search(pattern, text):
                return text
    except Exception as error:  # whatever a parser of foreign patterns may raise
        raise ConfigurationError(f"cannot write a text for the pattern {pattern!r}: {error}") from None
    raise ConfigurationError(f"cannot write a text for the pattern {pattern!r}")

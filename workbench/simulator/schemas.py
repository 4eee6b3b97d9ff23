"""Sample values that satisfy a JSON schema, with words and numbers from the prompt where they fit.

Covers what the providers accept in tools and structured output (JSON Schema 2020-12: types, enum, const,
$ref, anyOf/oneOf/allOf, objects, arrays, bounds, formats, patterns).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rstr import Rstr

from workbench.errors import ConfigurationError

__all__ = ["sample"]

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
    return _Sampler(schema, rng, hints).value(schema, 0)


class _Sampler:
    def __init__(self, root: Mapping[str, Any], rng: random.Random, hints: str) -> None:
        self._root, self._rng = root, rng
        found = [(match.start(), match.group()) for match in _NAME.finditer(hints)]
        first = [name for at, name in found if at and hints[at - 2 : at - 1] not in ".!?\n"]
        self._names = [*first, *(name for _, name in found if name not in first)]
        self._numbers = [float(number) for number in _NUMBER.findall(hints)]

    def value(self, schema: Any, depth: int) -> Any:
        schema = self._resolve(schema, depth)
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
        least = schema.get("minItems", 0 if depth >= _DEPTH else 1)
        most = schema.get("maxItems", max(least, 3))
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
        if pattern := schema.get("pattern"):
            return _match(pattern, self._rng)
        if (form := schema.get("format")) in _FORMATS:
            return _FORMATS[form](self._rng)
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        for name in self._names:
            if least <= len(name) <= most:
                self._names.remove(name)
                return name
        text = " ".join(self._rng.sample(_WORDS, 2))
        while len(text) < least:
            text += " " + self._rng.choice(_WORDS)
        return text[: int(min(most, len(text)))]

    def _integer(self, schema: Mapping[str, Any], depth: int) -> int:
        low, high = self._bounds(schema, step=1)
        low, high = math.ceil(low), math.floor(high)
        multiple = schema.get("multipleOf", 1)
        for number in self._numbers:
            if low <= number <= high and number % multiple == 0 and number.is_integer():
                self._numbers.remove(number)
                return int(number)
        step = math.lcm(*(int(multiple) if multiple == int(multiple) else 1,))
        first, last = -(-low // step), high // step
        if first > last:
            raise ConfigurationError(f"no integer satisfies {dict(schema)!r}")
        return self._rng.randint(first, last) * step

    def _number(self, schema: Mapping[str, Any], depth: int) -> float | int:
        if "multipleOf" in schema:
            step = schema["multipleOf"]
            low, high = self._bounds(schema, step=step)
            return self._rng.randint(math.ceil(low / step), math.floor(high / step)) * step  # type: ignore[no-any-return]
        low, high = self._bounds(schema, step=0)
        for number in self._numbers:
            if low <= number <= high:
                self._numbers.remove(number)
                return number
        value = round(self._rng.uniform(low, high), 2)
        inside = low <= value <= high and value not in (
            schema.get("exclusiveMinimum"),
            schema.get("exclusiveMaximum"),
        )
        return value if inside else (low + high) / 2

    def _bounds(self, schema: Mapping[str, Any], step: float) -> tuple[float, float]:
        low = schema.get("minimum", -math.inf)
        high = schema.get("maximum", math.inf)
        if "exclusiveMinimum" in schema:
            low = max(low, schema["exclusiveMinimum"] + step)
        if "exclusiveMaximum" in schema:
            high = min(high, schema["exclusiveMaximum"] - step)
        if low == -math.inf:
            low = min(0, high - 100) if high < math.inf else 0
        if high == math.inf:
            high = low + 100
        if low > high:
            raise ConfigurationError(f"no number satisfies {dict(schema)!r}")
        return low, high


def _merge(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            old = merged.get(key)
            if key == "properties" and old:
                merged[key] = {**old, **value}
            elif key == "required" and old:
                merged[key] = [*old, *(name for name in value if name not in old)]
            elif key in ("minimum", "minLength", "minItems", "exclusiveMinimum") and old is not None:
                merged[key] = max(old, value)
            elif key in ("maximum", "maxLength", "maxItems", "exclusiveMaximum") and old is not None:
                merged[key] = min(old, value)
            else:
                merged[key] = value
    return merged


def _match(pattern: str, rng: random.Random) -> str:
    """A text that the regular expression `pattern` finds itself in."""
    try:
        text = Rstr(rng).xeger(pattern)
        if re.search(pattern, text):
            return text
    except Exception as error:  # whatever a parser of foreign patterns may raise
        raise ConfigurationError(f"cannot write a text for the pattern {pattern!r}: {error}") from None
    raise ConfigurationError(f"cannot write a text for the pattern {pattern!r}")

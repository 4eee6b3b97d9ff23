"""Which recorded request is the same as this one, and how the nearest differs.

Compared are the method, the path, the query and the body; JSON by what it says, whatever the order of its
keys and its white space.  The host is not: it differs between a provider, a proxy and a test's server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from workbench.cassettes.exchange import RecordedRequest

__all__ = ["Key", "difference", "key_of", "nearest", "title"]

Key = tuple[str, str, tuple[tuple[str, str], ...], bytes]

_WIDTH = 100  # characters of a line in a difference
_LINES = 12
_LOOKED_AT = 2_000  # characters


def key_of(request: RecordedRequest) -> Key:
    """What two equal requests have in common."""
    url = urlsplit(request.url)
    query = tuple(sorted(parse_qsl(url.query, keep_blank_values=True)))
    said = _json(request)
    body = request.body if said is None else json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    return request.method, url.path or "/", query, body


def _json(request: RecordedRequest) -> Any:
    """What the body says; None if it is no JSON (or the JSON ``null``)."""
    if "json" not in request.headers.get("content-type", ""):
        return None
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        return None


def title(request: RecordedRequest) -> str:
    """The request in a few words."""
    url = urlsplit(request.url)
    return f"{request.method} {url.path or '/'}" + (f"?{url.query}" if url.query else "")


def nearest(asked: RecordedRequest, recorded: Sequence[RecordedRequest]) -> int | None:
    """The index of the recorded request that has most in common with this one."""
    wanted = _lines(asked)

    def likeness(index: int) -> tuple[float, float]:
        lines = _lines(recorded[index])
        mine = "\n".join(line for line in lines if line not in wanted)[:_LOOKED_AT]
        yours = "\n".join(line for line in wanted if line not in lines)[:_LOOKED_AT]
        by_line = SequenceMatcher(a=lines, b=wanted, autojunk=False).quick_ratio()
        return by_line, SequenceMatcher(a=mine, b=yours, autojunk=False).quick_ratio()

    return max(range(len(recorded)), key=likeness, default=None)


def difference(recorded: RecordedRequest, asked: RecordedRequest) -> list[str]:
    """Lines that say how two requests differ: ``-`` what was recorded, ``+`` what was asked for."""
    old, new = _lines(recorded), _lines(asked)
    found: list[str] = []
    for tag, i, i_end, j, j_end in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag != "equal":
            for mine, yours in zip_longest(old[i:i_end], new[j:j_end], fillvalue=""):
                same = next((k for k, (a, b) in enumerate(zip(mine, yours, strict=False)) if a != b), 0)
                found += [
                    f"{sign} {_short(line, same)}" for sign, line in (("-", mine), ("+", yours)) if line
                ]
    more = len(found) - _LINES
    return found if more <= 0 else [*found[:_LINES], f"… and {more} lines more"]


def _short(line: str, same: int) -> str:
    """A line that fits; what is cut out of it is what is the same as far as that goes."""
    if len(line) > _WIDTH and same > _WIDTH // 2:
        line = f"{line[:30]} … {line[same - 20 :]}"
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]} …"


def _lines(request: RecordedRequest) -> list[str]:
    """A request as lines of text: one for each value in it."""
    method, path, query, body = key_of(request)
    lines = [f"{method} {path}", *(f"?{name}={value}" for name, value in query)]
    if (said := _json(request)) is not None:
        return lines + list(_leaves("", said))
    try:
        return lines + body.decode().splitlines()
    except UnicodeDecodeError:
        return [*lines, f"{len(body)} bytes, SHA-256 {hashlib.sha256(body).hexdigest()}"]


def _leaves(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from _leaves(f"{path}.{name}" if path else name, value[name])
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(f"{path}[{index}]", item)
    else:
        text = f"{path}: {json.dumps(value, ensure_ascii=False)}"
        yield text.encode(errors="backslashreplace").decode()  # half a surrogate pair could not be printed

"""What has the form of a secret, and how it is taken out of text before anybody stores or shows it.

Found are: keys by their form (`KEYS`), values that are known to be secret, and whatever stands under a name
that says so, in JSON and in queries.  JSON is looked for in any text, so that documents, event streams and a
model's prose are one case.  Its strings are searched as the text that they mean; in an event stream
the strings at one place of all its events are one text, since a model writes a key in several tokens.

Everything but the secrets stays as it is, byte for byte, and the result is searched again until nothing is
found: what is redacted once does not change any more.
"""

from __future__ import annotations

import logging
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import unquote_plus

import regex

__all__ = ["KEYS", "REDACTED", "RedactedText", "RedactingFilter", "Redactor", "keys_in_use", "remember"]

REDACTED = "*REDACTED*"  # an asterisk is in no key: what it is put beside forms no new one

_KEYS = {
    "Anthropic key": r"sk-ant-[A-Za-z0-9_-]{20,}",
    "OpenAI key": r"sk-(?!ant-)(?=[\w-]*(?:\d|[A-Za-z]{16}))[A-Za-z0-9_-]{20,}",  # and no CSS class
    "OpenAI organization or project": r"(?:org-|proj_)[A-Za-z0-9]{20,}",
    "AWS key": r"(?<![+/])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9+/])",
    "Google key": r"(?<![+/])AIza[A-Za-z0-9_-]{35}",
    "GitHub token": r"(?:gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50,})",
    "Hugging Face token": r"hf_[A-Za-z0-9]{30,}",
    "Slack token": r"xox[abprs]-[A-Za-z0-9-]{10,}",
    "Vault token": r"(?:hv[sbr]\.[A-Za-z0-9_-]{24,}|s\.(?=[A-Za-z]*\d)[A-Za-z0-9]{24}(?![\w(]))",
    "Stripe key": r"[rs]k_(?:live|test)_[A-Za-z0-9]{20,}",
    "GitLab token": r"glpat-[A-Za-z0-9_-]{20,}",
    "npm token": r"npm_[A-Za-z0-9]{36}",
    "JSON web token": r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"(?:[A-Za-z0-9+/=\s]|\\+[nr])*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
}
_APART = "(?<![A-Za-z0-9_-])"  # a key does not continue a longer word, so that base64 in an image is none
_ANY_KEY = f"{_APART}(?:{'|'.join(_KEYS.values())})"
_GOES_ON = "[A-Za-z0-9_-]*"  # what continues a key goes with it: what is left begins no other
KEYS = {kind: re.compile(_APART + pattern) for kind, pattern in _KEYS.items()}
_SHORTEST = 12  # characters of what is looked for wherever it stands

# Names in lower case, their words joined by "-": `apiKey` and `API_KEY` are "api-key".
_NAMES = re.compile(
    r"\b((api-?|access-|secret-|private-|signing-|subscription-|account-)keys?|secrets?|passwords?|passwd|"
    r"passphrase|(access|auth|refresh|id|session|security|bearer|api)-token|authorization|credentials?|"
    r"(organi[sz]ation|org)-id)\b"
)
_HEADERS = re.compile(r"\b(cookie2?|auth|token)\b|\b(organi[sz]ation|workspace|project|account)(-id)?$")
_PARAMETERS = re.compile(r"\b(key|token|sig|signature|auth)\b")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_PAIR = re.compile(r"([^&=]*)=([^&]*)")

_TOKEN = re.compile(
    r"""  "(?P<name>   [^"\\\n]*(?:\\.[^"\\\n]*)* )"\s*:
        | "(?P<string> [^"\\\n]*(?:\\.[^"\\\n]*)* )(?:"|$)
        | (?P<open>[{\[]) | (?P<close>[}\]]) | (?P<comma>,) | (?P<word>[^\s"{}\[\],:]+)
    """,
    re.VERBOSE | re.MULTILINE,
)
_DOCUMENT = re.compile(r"^(data:)?[ \t]*(?=[{\[])|(?=\{\s*\")", re.MULTILINE)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_DEEPEST = 4  # JSON in a string of JSON in …

Path = tuple[str | int, ...]


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


class _Leaf(NamedTuple):
    """A string or another scalar in a JSON document, and where its characters are in the text."""

    path: Path
    text: str
    places: Sequence[int]  # of each character, and of the end
    quoted: bool


_remembered: dict[str, str] = {}


def remember(key: str, name: str) -> None:
    """Have `key` known as one that is in use, for as long as this process lives."""
    _remembered[key] = name


def keys_in_use() -> dict[str, str]:
    """The API keys in the environment, and those that were looked up elsewhere: the name of each."""
    found = {key: name for name, key in os.environ.items() if name.endswith("_API_KEY")}
    return {key: name for key, name in (_remembered | found).items() if len(key) >= _SHORTEST}


@lru_cache
def _pattern(values: frozenset[str]) -> re.Pattern[str]:
    known = sorted((v for v in values if len(v) >= _SHORTEST), key=lambda v: (-len(v), v))
    return re.compile(f"(?:{'|'.join([*map(re.escape, known), _ANY_KEY])}){_GOES_ON}")


class Redactor:
    """Takes secrets out of text.

    Args:
        names: of headers, query parameters and JSON fields that are secret besides those that always are.
        values: texts that are secret wherever they stand, besides the keys in use; those under
            12 characters are not looked for.
    """

    def __init__(self, names: Iterable[str] = (), values: Iterable[str] = ()) -> None:
        self._names = frozenset(map(_words, names))
        self._values = frozenset(values)

    def __repr__(self) -> str:
        return f"<Redactor: {len(self._names)} more names, {len(self._values)} known values>"

    @property
    def pattern(self) -> re.Pattern[str]:
        """What finds secrets by their form, and those that are known by now."""
        return _pattern(self._values.union(keys_in_use()))

    def knowing(self, headers: Mapping[str, str]) -> Redactor:
        """A redactor that also knows the values of a request's secret headers, wherever they turn up."""
        secrets = {v.rpartition(" ")[2] for name, v in headers.items() if self.is_secret_header(name)}
        return Redactor(self._names, secrets.union(self._values))

    def is_secret(self, name: str, more: re.Pattern[str] | None = None) -> bool:
        """Whether what stands under this name is secret."""
        words = _words(name)
        return bool(words in self._names or _NAMES.search(words) or (more and more.search(words)))

    def is_secret_header(self, name: str) -> bool:
        """Whether the header of this name is secret."""
        return self.is_secret(name, _HEADERS)

    def text(self, text: str) -> str:
        """The text without its secrets."""
        return self.texts([text])[0]

    def texts(self, parts: Sequence[str]) -> list[str]:
        """The parts of one text without its secrets; one that is cut in two is replaced where it begins."""
        made, pattern = list(parts), self.pattern
        while edits := _merged(self._edits(pattern, "".join(made), _DEEPEST)):
            made = _apply(edits, made)
        return made

    def body(self, parts: Sequence[bytes]) -> list[bytes]:
        """As :meth:`texts`, of the bytes of a body."""
        return [part.encode("latin-1") for part in self.texts([part.decode("latin-1") for part in parts])]

    def query(self, query: str) -> str:
        """A query, or the body of a form, without its secrets."""

        def pair(match: re.Match[str]) -> str:
            secret = self.is_secret(unquote_plus(match[1]), _PARAMETERS)
            return f"{match[1]}={REDACTED}" if secret and match[2] else match[0]

        return self.text(_PAIR.sub(pair, query))

    def url(self, url: str) -> str:
        """A URL without its secrets: its user, and what is secret in its path and query."""
        address, mark, query = url.partition("?")
        scheme, slashes, rest = address.partition("://")
        host, slash, path = rest.partition("/")
        address = f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"
        return self.text(address) + mark + self.query(query)

    def _edits(self, pattern: re.Pattern[str], text: str, depth: int) -> Iterator[_Edit]:
        for found in pattern.finditer(text):
            yield _Edit(found.start(), found.end(), REDACTED)
        for leaves in _strings(text):
            path = leaves[0].path
            if any(isinstance(name, str) and self.is_secret(name) for name in path):
                yield from (edit for leaf in leaves for edit in _whole(leaf))
            elif depth and len(meaning := "".join(leaf.text for leaf in leaves)) >= _SHORTEST:
                yield from _placed(self._edits(pattern, meaning, depth - 1), leaves)


def _words(name: str) -> str:
    return _WORD_START.sub("-", name).lower()


def _whole(leaf: _Leaf) -> Iterator[_Edit]:
    if leaf.quoted and leaf.text not in ("", REDACTED):
        yield _Edit(leaf.places[0], leaf.places[-1], REDACTED)
    elif not leaf.quoted and leaf.text not in ("0", "true", "false", "null"):
        yield _Edit(leaf.places[0], leaf.places[-1], "0")


def _placed(edits: Iterable[_Edit], leaves: Sequence[_Leaf]) -> Iterator[_Edit]:
    """Edits of the joined texts of `leaves` as edits of the text that these stand in."""
    for edit in edits:
        begin, new = 0, edit.text
        for leaf in leaves:
            start, end = max(edit.start - begin, 0), min(edit.end - begin, len(leaf.text))
            if start < end:
                yield _Edit(leaf.places[start], leaf.places[end], new)
                new = ""
            begin += len(leaf.text)


def _merged(edits: Iterable[_Edit]) -> list[_Edit]:
    """The edits in order, those that overlap as one."""
    merged: list[_Edit] = []
    for edit in sorted(edits):
        if merged and edit.start < merged[-1].end:
            last = merged.pop()
            edit = _Edit(last.start, max(last.end, edit.end), max(last.text, edit.text, key=len))
        merged.append(edit)
    return merged


def _apply(edits: Sequence[_Edit], parts: Sequence[str]) -> list[str]:
    """Make the edits in the text of all parts; a part keeps what began in it."""
    text = "".join(parts)
    ends = list(accumulate(map(len, parts)))
    made: list[list[str]] = [[] for _ in parts]

    def keep(start: int, end: int) -> None:
        while start < end:
            number = bisect_right(ends, start)
            stop = min(end, ends[number])
            made[number].append(text[start:stop])
            start = stop

    done = 0
    for edit in edits:
        keep(done, edit.start)
        made[bisect_right(ends, edit.start)].append(edit.text)
        done = edit.end
    keep(done, len(text))
    return ["".join(pieces) for pieces in made]


def _strings(text: str) -> Iterator[list[_Leaf]]:
    """The scalars of all JSON in a text; those that belong together, in one list."""
    streamed: dict[object, list[_Leaf]] = {}
    at = 0
    while match := _DOCUMENT.search(text, at):
        line = text.find("\n", match.end()) if match[1] else -1
        leaves, at = _leaves(text, match.end(), len(text) if line < 0 else line)
        if match[1] is None:
            yield from ([leaf] for leaf in leaves)
            continue
        numbers = tuple((leaf.path, leaf.text) for leaf in leaves if str(leaf.path[-1]).endswith("index"))
        for leaf in leaves:  # of several choices, each is a text of its own
            streamed.setdefault((leaf.path, leaf.quoted, numbers), []).append(leaf)
    yield from streamed.values()


def _leaves(text: str, start: int, limit: int) -> tuple[list[_Leaf], int]:
    """The scalars of the JSON document that begins at `start`, and its end; as far as it is undamaged."""
    leaves: list[_Leaf] = []
    path: list[str | int] = []
    end = start
    for token in _TOKEN.finditer(text, start, limit):
        end, kind = token.end(), token.lastgroup
        if kind == "open":
            path.append(0 if token[0] == "[" else "")
        elif kind == "close":
            path.pop()
        elif kind == "comma" and isinstance(index := path[-1], int):
            path[-1] = index + 1
        elif kind == "name":
            path[-1] = _meaning(text, *token.span(kind))[0]
        elif kind == "string" or kind == "word":
            meaning, places = _meaning(text, *token.span(kind))
            leaves.append(_Leaf(tuple(path), meaning, places, kind == "string"))
        if not path or (kind == "string" and len(token[0]) - len(token[kind]) < 2):
            break  # the document has ended, or is cut off
    return leaves, end


def _meaning(text: str, start: int, end: int) -> tuple[str, Sequence[int]]:
    """What the inside of a JSON string means, and where in `text` each of its characters comes from."""
    raw = text[start:end]
    if "\\" not in raw:
        return raw, range(start, end + 1)
    characters: list[str] = []
    places: list[int] = []
    at = 0
    for escape in _ESCAPE.finditer(raw):
        characters += raw[at : escape.start()]
        places += range(start + at, start + escape.start() + 1)
        characters.append(chr(int(escape[1], 16)) if escape[1] else _ESCAPED.get(escape[2], escape[2]))
        at = escape.end()
    characters += raw[at:]
    places += range(start + at, end + 1)
    return "".join(characters), places


class RedactingFilter(logging.Filter):
    """Takes secrets out of log records, tracebacks included: ``handler.addFilter(RedactingFilter())``.

    Args:
        redactor: what it takes out; by default what has the form of a key, and the keys in use.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self._redactor = redactor or Redactor()
        self._format = logging.Formatter().formatException

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place, and let it pass."""
        record.msg, record.args = self._redactor.text(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self._format(record.exc_info)
        if record.exc_text:
            record.exc_text = self._redactor.text(record.exc_text)  # formatters print this, where it is set
        return True


class RedactedText:
    """Takes secrets out of a text that comes in pieces, also those that are cut in two.

    What may be the beginning of a secret waits for its end. A secret that only the name before it gives
    away is known where both come in one piece.

    Args:
        redactor: what it takes out.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._rest = ""
        self._before = ""  # stands for the character before the rest: no key continues a word

    def feed(self, piece: str) -> str:
        """What may be shown after this piece."""
        text = self._before + self._rest + piece
        found = regex.finditer(self._redactor.pattern.pattern, text, partial=True)
        return self._show(text, next((each.start() for each in found if each.end() == len(text)), len(text)))

    def end(self) -> str:
        """What is left, when the text has ended."""
        text = self._before + self._rest
        return self._show(text, len(text))

    def _show(self, text: str, end: int) -> str:
        shown, self._rest = self._redactor.text(text[:end])[len(self._before) :], text[end:]
        if shown:
            last = shown[-1]  # the underscore begins no key, and neither does the plus
            self._before = "_" if re.match(r"[\w-]", last, re.ASCII) else "+" if last in "+/" else ""
        return shown

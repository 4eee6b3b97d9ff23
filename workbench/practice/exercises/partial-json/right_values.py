import copy
import json
from contextlib import suppress
from json.decoder import scanstring
from json.scanner import NUMBER_RE


class Cut(Exception):
    """The text ends here."""


def skip(text, at):
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    if at == len(text):
        raise Cut
    return at


def string(text, at):
    end = len(text)
    try:
        return scanstring(text, at + 1, True)
    except ValueError:
        pass
    while True:  # shorter by at most two escapes
        try:
            value = scanstring(text[:end] + '"', at + 1, True)[0]
            value.encode()
            return value, None
        except ValueError:
            end -= 1


def value(text, at, put):
    at = skip(text, at)
    if text[at] == '"':
        found, end = string(text, at)
        put(found)
        if end is None:
            raise Cut
        return end
    if text[at] in "{[":
        return (members if text[at] == "{" else items)(text, at + 1, put)
    for word, found in (("true", True), ("false", False), ("null", None)):
        if text.startswith(word, at):
            put(found)
            return at + len(word)
    number = NUMBER_RE.match(text, at)
    if not number or number.end() == len(text) or text[number.end()] in ".eE":
        raise Cut
    put(json.loads(number[0]))
    return number.end()


def members(text, at, put):
    found = {}
    put(found)
    at = skip(text, at)
    while text[at] != "}":
        key, end = string(text, at)
        if end is None:
            raise Cut
        at = skip(text, end) + 1  # the colon
        at = skip(text, value(text, at, lambda each, key=key: found.__setitem__(key, each)))
        if text[at] == ",":
            at = skip(text, at + 1)
    return at + 1


def items(text, at, put):
    found = []
    put(found)
    at = skip(text, at)
    while text[at] != "]":
        at = skip(text, value(text, at, found.append))
        if text[at] == ",":
            at = skip(text, at + 1)
    return at + 1


def snapshots(fragments):
    text = ""
    for fragment in fragments:
        text += fragment
        known = [None]
        with suppress(Cut):
            value(text, 0, known.append)
        yield copy.deepcopy(known[-1])

import copy
import json
import re

UNFINISHED = re.compile(
    r"(?<!\\)(\\\\)*(\\(u[\da-f]{0,3})?|\\ud[89ab][\da-f]{2}(\\(u[\da-f]{0,3})?)?)$", re.IGNORECASE
)


def shown(raw):
    """As much of a string's inside as is complete."""
    found = UNFINISHED.search(raw)
    return json.loads(f'"{raw[: found.end(1) if found[1] else found.start()] if found else raw}"')


class Reader:
    """It reads each character once; numbers and literals count when what follows shows their end."""

    def __init__(self):
        self.top, self.open, self.keys = [], [], []
        self.open.append(self.top)
        self.state, self.raw = self.value, ""

    def put(self, value, *, again=False):
        place = self.open[-1]
        if isinstance(place, dict):
            place[self.keys[-1]] = value
        elif again:
            place[-1] = value
        else:
            place.append(value)

    def next(self):
        self.state = self.key if isinstance(self.open[-1], dict) else self.value

    def value(self, char):
        if char in "{[":
            self.put(new := {} if char == "{" else [])
            self.open.append(new)
            self.keys.append(None)
            self.next()
        elif char in "}]":
            self.close()
        elif char == '"':
            self.put("")
            self.state, self.raw = self.text, ""
        elif char not in " \t\r\n,:":
            self.state, self.raw = self.atom, char

    def close(self):
        self.open.pop()
        self.keys.pop()
        self.next()

    def key(self, char):
        if char == '"':
            self.state, self.raw = self.name, ""
        elif char == "}":
            self.close()

    def ended(self, char):
        return char == '"' and not re.search(r"(?<!\\)(\\\\)*\\$", self.raw)

    def name(self, char):
        if self.ended(char):
            self.keys[-1] = json.loads(f'"{self.raw}"')
            self.state = self.value
        else:
            self.raw += char

    def text(self, char):
        if self.ended(char):
            self.next()
        else:
            self.raw += char
            self.put(shown(self.raw), again=True)

    def atom(self, char):
        if char in ",]} \t\r\n":
            self.put(json.loads(self.raw))
            self.next()
            if char in "]}":
                self.close()
        else:
            self.raw += char


def snapshots(fragments):
    reader = Reader()
    for fragment in fragments:
        for char in fragment:
            reader.state(char)
        yield copy.deepcopy(reader.top[0]) if reader.top else None

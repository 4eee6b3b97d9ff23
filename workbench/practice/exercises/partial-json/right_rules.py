import json
import re

WHOLE = re.compile(
    r'"(?:[^"\\]|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|(?:\\u[dD][89a-fA-F][0-9a-fA-F]{2}){2})*'
)
LITERAL = re.compile(r"[^\s\"{}\[\],:]+$")


class Reader:
    def __init__(self):
        self.text = ""
        self.stack = []
        self.key = None  # where the key began whose value has not
        self.string = None  # where the string began that is open
        self.escaped = False
        self.before = ""

    def feed(self, fragment):
        for place, char in enumerate(fragment, start=len(self.text)):
            if self.string is not None:
                if not self.escaped and char == '"':
                    self.string = None
                self.escaped = char == "\\" and not self.escaped
                continue
            if char.isspace():
                continue
            if char == '"' and self.stack[-1:] == ["}"] and self.before in "{,":
                self.key = place
            elif self.before == ":":
                self.key = None
            if char == '"':
                self.string = place
            elif char in "{[":
                self.stack.append({"{": "}", "[": "]"}[char])
            elif char in "}]":
                self.stack.pop()
            self.before = char
        self.text += fragment

    def value(self):
        text = self.text
        if self.key is not None:
            text = text[: self.key]
        elif self.string is not None:
            text = text[: self.string] + WHOLE.match(text, self.string)[0] + '"'
        elif literal := LITERAL.search(text):
            try:
                json.loads(literal[0])
            except ValueError:
                text = text[: literal.start()]
                if self.stack[-1] == "}":
                    text = re.sub(r'"(?:[^"\\]|\\.)*"\s*:\s*$', "", text)
        elif self.before == ":":
            text = re.sub(r'"(?:[^"\\]|\\.)*"\s*:\s*$', "", text)
        text = text.rstrip().removesuffix(",")
        return json.loads(text + "".join(reversed(self.stack))) if text else None


def snapshots(fragments):
    reader = Reader()
    for fragment in fragments:
        reader.feed(fragment)
        yield reader.value()

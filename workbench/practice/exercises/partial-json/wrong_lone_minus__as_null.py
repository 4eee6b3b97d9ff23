import json
import re


def ends(text):
    """What would close a text, and whether it ends within a string."""
    closing, inside, escaped = [], False, False
    for char in text:
        if inside:
            inside = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside = True
        elif char in "{[":
            closing.append("}" if char == "{" else "]")
        elif char in "}]":
            closing.pop()
    return ('"' if inside else "") + "".join(reversed(closing)), inside


def parsed(text):
    for end in range(len(text), 0, -1):
        try:
            value = json.loads(text[:end] + ends(text[:end])[0])
            json.dumps(value, ensure_ascii=False).encode()
        except ValueError:
            continue
        return value
    return None


def snapshots(fragments):
    text = ""
    for fragment in fragments:
        text += fragment
        begun = re.search(r"[:\[,]\s*([-+.\w]+)$", text)
        if begun and not ends(text)[1]:
            try:
                json.loads(begun[1])
            except ValueError:
                yield parsed(text[: begun.start(1)] + "null")
                continue
        yield parsed(text)

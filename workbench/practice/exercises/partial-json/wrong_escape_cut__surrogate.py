import json


def closing(text):
    closers, quoted, escaped = [], False, False
    for char in text:
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char in "{[":
            closers.append("}" if char == "{" else "]")
        elif char in "}]":
            closers.pop()
    return '"' * quoted + "".join(reversed(closers))


def closed(text):
    for end in range(len(text), 0, -1):
        try:
            value = json.loads(text[:end] + closing(text[:end]))
        except ValueError:
            continue  # inside a key, a literal or an escape
        return value
    return None


def snapshots(fragments):
    text = ""
    for fragment in fragments:
        text += fragment
        yield closed(text)

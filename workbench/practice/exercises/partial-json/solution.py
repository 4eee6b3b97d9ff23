import json


def closing(text):
    """The characters that close all that is open in the beginning of a JSON text."""
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
    """The value of the longest beginning of a text that can be closed; None if there is none."""
    for end in range(len(text), 0, -1):
        try:
            value = json.loads(text[:end] + closing(text[:end]))
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no character
        except ValueError:
            continue  # inside a key, a literal or an escape
        return value
    return None


def snapshots(fragments):
    """Yield, after each fragment of a JSON object, what is known of it so far."""
    text = ""
    for fragment in fragments:
        text += fragment
        yield closed(text)

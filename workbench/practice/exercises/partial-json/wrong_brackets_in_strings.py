import json


def closing(text):
    closers = []
    for char in text:
        if char in "{[":
            closers.append("}" if char == "{" else "]")
        elif char in "}]" and closers:
            closers.pop()
    quotes = text.count('"') - text.count('\\"')
    return '"' * (quotes % 2) + "".join(reversed(closers))


def closed(text):
    for end in range(len(text), 0, -1):
        try:
            value = json.loads(text[:end] + closing(text[:end]))
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no character
        except ValueError:
            continue  # inside a key, a literal or an escape
        return value
    return None


def snapshots(fragments):
    text = ""
    for fragment in fragments:
        text += fragment
        yield closed(text)

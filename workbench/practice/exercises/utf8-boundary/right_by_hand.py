def unfinished(data):
    """How many bytes at the end belong to a character that has begun and is not complete."""
    for back, byte in enumerate(reversed(data[-3:]), start=1):
        if byte >= 0xC0:
            needs = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < needs else 0
        if byte < 0x80:
            return 0
    return 0


def decode(chunks):
    held = b""
    for chunk in chunks:
        data = held + chunk
        whole = len(data) - unfinished(data)
        held = data[whole:]
        yield data[:whole].decode(errors="replace")
    yield held.decode(errors="replace")

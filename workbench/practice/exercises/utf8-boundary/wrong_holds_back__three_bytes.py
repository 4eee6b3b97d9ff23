def decode(chunks):
    held = b""
    for chunk in chunks:
        held += chunk
        cut = max(0, len(held) - 3)
        while cut and held[cut] & 0xC0 == 0x80:
            cut -= 1
        yield held[:cut].decode(errors="replace")
        held = held[cut:]
    yield held.decode(errors="replace")

def decode(chunks):
    yield b"".join(chunks).decode(errors="replace")

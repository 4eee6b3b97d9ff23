def decode(chunks):
    """Yield the text of a stream of bytes, piece by piece, as soon as it can be read."""
    held = b""
    for chunk in chunks:
        held += chunk
        try:
            text = held.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                continue  # it waits for the rest of the character
            text = held.decode(errors="replace")
        held = b""
        yield text
    yield held.decode(errors="replace")

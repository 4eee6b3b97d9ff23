def decode(chunks):
    for chunk in chunks:
        yield chunk.decode(errors="replace")

def decode(chunks):
    for chunk in chunks:
        yield chunk.decode("utf-8")

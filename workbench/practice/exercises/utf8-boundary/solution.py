import codecs


def decode(chunks):
    """Yield the text of a stream of bytes, piece by piece, as soon as it can be read."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for chunk in chunks:
        if text := decoder.decode(chunk):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text

def decode(chunks):
    """Yield the text of a stream of bytes, piece by piece, as soon as it can be read."""
    raise NotImplementedError

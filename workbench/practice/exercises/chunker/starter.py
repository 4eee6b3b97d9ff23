def chunk(text, size, overlap, count):
    """Return the chunks of a text, of at most `size` tokens, each overlapping the one before it."""
    raise NotImplementedError

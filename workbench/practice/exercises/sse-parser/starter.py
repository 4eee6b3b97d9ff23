def parse_events(chunks):
    """Yield (event, data) for each event of a stream, as soon as it is complete."""
    for _chunk in chunks:
        pass
    return []

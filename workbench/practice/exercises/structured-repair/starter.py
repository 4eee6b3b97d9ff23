async def extract(client, text, repairs):
    """Return (city, days) of a weather request, as the model reads it out of a text."""
    raise NotImplementedError

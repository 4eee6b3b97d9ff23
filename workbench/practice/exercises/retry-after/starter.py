async def retry(send, attempts, longest):
    """Return what `await send()` gives; try again, no sooner than the server allows."""
    return await send()

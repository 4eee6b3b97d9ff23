async def relay(stream, send):
    """Send each piece of text on as it comes; return (text, error)."""
    text = ""
    return text, None

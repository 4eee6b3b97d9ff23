def tool_calls(events):
    """Return the tool calls of one streamed answer, of either provider, in order."""
    raise NotImplementedError

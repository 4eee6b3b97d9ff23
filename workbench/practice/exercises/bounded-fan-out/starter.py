async def fan_out(client, prompts, limit):
    """Ask the model every prompt, and return the results in the order of the prompts."""
    raise NotImplementedError

def snapshots(fragments):
    """Yield, after each fragment of a JSON object, what is known of it so far."""
    raise NotImplementedError

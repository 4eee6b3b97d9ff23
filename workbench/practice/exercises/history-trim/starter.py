def trim(messages, window, reply, count):
    """Return the messages to send: the latest ones that fit, and always the system's."""
    return messages

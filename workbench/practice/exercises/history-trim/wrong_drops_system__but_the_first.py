def trim(messages, window, reply, count):
    system, rest = messages[:1], messages[1:]
    while sum(map(count, system + rest)) > window - reply:
        if sum(message["role"] == "user" for message in rest) <= 1 and rest[0]["role"] == "user":
            raise ValueError("what must be kept does not fit")
        rest = rest[1:]
        while rest[0]["role"] == "tool":
            rest = rest[1:]
    return system + rest

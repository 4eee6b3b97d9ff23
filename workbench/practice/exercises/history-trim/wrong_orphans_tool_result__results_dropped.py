def trim(messages, window, reply, count):
    room = window - reply
    last = max(place for place, message in enumerate(messages) if message["role"] == "user")
    kept = [m for place, m in enumerate(messages) if m["role"] == "system" or place >= last]
    room -= sum(map(count, kept))
    if room < 0:
        raise ValueError("does not fit")
    older = []
    for message in reversed(messages[:last]):
        if message["role"] in ("system", "tool"):
            continue
        room -= count(message)
        if room < 0:
            break
        older.append(message)
    return [m for m in messages if any(m is each for each in kept + older)]

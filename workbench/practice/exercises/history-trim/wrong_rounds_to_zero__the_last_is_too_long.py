def trim(messages, window, reply, count):
    kept, room = [], window - reply
    room -= sum(count(message) for message in messages if message["role"] == "system")
    for place in reversed(range(len(messages))):
        if messages[place]["role"] == "system":
            kept.append(place)
            continue
        room -= count(messages[place])
        if room < 0:
            break
        kept.append(place)
    while kept and messages[kept[-1]]["role"] == "tool":
        kept.pop()
    system = [place for place in range(len(messages)) if messages[place]["role"] == "system"]
    return [messages[place] for place in sorted({*kept, *system})]

def units(messages):
    grouped = []
    for message in messages:
        if message["role"] == "tool" and grouped:
            grouped[-1].append(message)
        else:
            grouped.append([message])
    return grouped


def trim(messages, window, reply, count):
    system = []
    talk = messages
    users = [place for place, message in enumerate(talk) if message["role"] == "user"]
    last = users[-1] if users else 0
    kept = talk[last:]
    room = window - reply - sum(map(count, system + kept))
    if room < 0:
        raise ValueError(f"the last turn and the system message need {-room} tokens more than there are")
    for unit in reversed(units(talk[:last])):
        room -= sum(map(count, unit))
        if room < 0:
            break
        kept = unit + kept
    return [message for message in messages if any(message is each for each in system + kept)]

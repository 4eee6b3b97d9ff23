def trim(messages, window, reply, count):
    system = [message for message in messages if message["role"] == "system"]
    talk = [message for message in messages if message["role"] != "system"]
    budget = window - reply - sum(map(count, system))
    total = sum(map(count, talk))
    if total <= budget:
        return list(messages)
    if budget <= 0:
        raise ValueError("does not fit")
    keep = int(len(talk) * budget / total)
    while keep and sum(map(count, talk[-keep:])) > budget:
        keep -= 1
    kept = talk[len(talk) - keep :]
    while kept and kept[0]["role"] == "tool":
        kept = kept[1:]
    return system + kept

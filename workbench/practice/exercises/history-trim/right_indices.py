from collections import deque


def trim(messages, window, reply, count):
    sizes = [count(message) for message in messages]
    roles = [message["role"] for message in messages]
    must = {place for place, role in enumerate(roles) if role == "system"}
    tail = max((place for place, role in enumerate(roles) if role == "user"), default=0)
    must |= set(range(tail, len(messages)))
    budget = window - reply - sum(sizes[place] for place in must)
    if budget < 0:
        raise ValueError("too small a window")

    groups = deque()
    for place in range(tail):
        if place in must:
            continue
        if roles[place] == "tool" and groups:
            groups[-1].append(place)
        else:
            groups.append([place])
    total = sum(sizes[place] for group in groups for place in group)
    while groups and total > budget:
        total -= sum(sizes[place] for place in groups.popleft())
    keep = must | {place for group in groups for place in group}
    return [message for place, message in enumerate(messages) if place in keep]

class History:
    def __init__(self, messages, count):
        self.messages, self.count = messages, count

    @property
    def tokens(self):
        return sum(self.count(message) for message in self.messages)

    def without_oldest(self):
        """The history without its oldest unit; None if only what must be kept is left."""
        last = max((n for n, m in enumerate(self.messages) if m["role"] == "user"), default=0)
        first = next((n for n, m in enumerate(self.messages) if m["role"] != "system"), None)
        if first is None or first >= last:
            return None
        ids = {call["id"] for call in self.messages[first].get("tool_calls") or []}
        rest = [m for n, m in enumerate(self.messages) if n != first and m.get("tool_call_id") not in ids]
        return History(rest, self.count)


def trim(messages, window, reply, count):
    history = History(list(messages), count)
    while history is not None and history.tokens > window - reply:
        history = history.without_oldest()
    if history is None:
        raise ValueError("what must be kept does not fit")
    return history.messages

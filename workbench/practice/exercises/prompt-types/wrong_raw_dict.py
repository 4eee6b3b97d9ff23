from typing import Literal, get_args

Role = Literal["system", "user", "assistant"]


class Prompt:
    def __init__(self, system=None):
        self.messages = []
        if system is not None:
            self.add("system", system)

    def add(self, role: Role, content: str):
        if role not in get_args(Role):
            raise ValueError(f"unknown role {role!r}")
        if not isinstance(content, str):
            raise TypeError(f"content must be a str, got {content!r}")
        self.messages.append({"role": role, "content": content})

    def to_wire(self):
        return list(self.messages)

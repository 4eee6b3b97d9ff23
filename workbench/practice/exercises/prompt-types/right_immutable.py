from collections import namedtuple
from enum import StrEnum

Message = namedtuple("Message", "role content")


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Prompt:
    def __init__(self, system=None):
        self._messages = ()
        if system is not None:
            self.add(Role.SYSTEM, system)

    @property
    def messages(self):
        return self._messages

    def add(self, role, content):
        match content:
            case str():
                self._messages += (Message(Role(role), content),)
            case _:
                raise TypeError(f"content must be text, not {type(content).__name__}")

    def to_wire(self):
        return [{"role": str(role), "content": content} for role, content in self._messages]

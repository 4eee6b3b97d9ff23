from dataclasses import asdict, dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    role: Role
    content: str


class Prompt:
    def __init__(self, system: str | None = None):
        self.messages = [] if system is None else [Message("system", system)]

    def add(self, role: Role, content: str) -> None:
        self.messages.append(Message(role, content))

    def to_wire(self):
        return [asdict(message) for message in self.messages]

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

Role = Literal["system", "user", "assistant"]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    role: str
    content: str


class Prompt:
    def __init__(self, system: str | None = None) -> None:
        self.messages: list[Message] = []
        if system is not None:
            self.add("system", system)

    def add(self, role: Role, content: str) -> None:
        self.messages.append(Message(role=role, content=content))
        if role not in get_args(Role):
            raise ValueError(f"no role: {role!r}")

    def to_wire(self) -> list[dict[str, str]]:
        return [message.model_dump() for message in self.messages]

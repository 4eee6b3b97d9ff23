from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["system", "user", "assistant"]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    role: Role
    content: str


class Prompt:
    messages: list[Message] = []  # noqa: RUF012

    def __init__(self, system: str | None = None) -> None:
        if system is not None:
            self.add("system", system)

    def add(self, role: Role, content: str) -> None:
        self.messages.append(Message(role=role, content=content))

    def to_wire(self) -> list[dict[str, str]]:
        return [message.model_dump() for message in self.messages]

from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["system", "user", "assistant"]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    role: Role
    content: str


class Prompt:
    def __init__(self, system: str | None = None, messages: list[Message] = []) -> None:  # noqa: B006
        self.messages = messages
        if system is not None:
            self.add("system", system)

    def add(self, role: Role, content: str) -> None:
        self.messages.append(Message(role=role, content=content))

    def to_wire(self) -> list[dict[str, str]]:
        return [message.model_dump() for message in self.messages]

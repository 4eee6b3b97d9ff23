from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["system", "user", "assistant"]


class Message(BaseModel):
    """One turn; a wrong one cannot be made."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    role: Role
    content: str


class Prompt:
    """A conversation to be sent to a model."""

    def __init__(self, system: str | None = None) -> None:
        self.messages: list[Message] = []
        if system is not None:
            self.add("system", system)

    def add(self, role: Role, content: str) -> None:
        """Append a message."""
        self.messages.append(Message(role=role, content=content))

    def to_wire(self) -> list[dict[str, str]]:
        """What the SDKs take."""
        return [message.model_dump() for message in self.messages]

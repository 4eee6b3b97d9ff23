from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise ValueError(f"a role is one of {get_args(Role)}, got {self.role!r}")
        if not isinstance(self.content, str):
            raise TypeError(f"a content is a str, got {self.content!r}")


@dataclass
class Prompt:
    system: str | None = None
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.system is not None:
            self.messages.append(Message("system", self.system))

    def add(self, role: Role, content: str) -> "Prompt":
        self.messages.append(Message(role, content))
        return self

    def to_wire(self) -> list[dict[str, str]]:
        return [asdict(message) for message in self.messages]

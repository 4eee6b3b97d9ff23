"""What a model has been asked, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.messages import Completion, Usage
from workbench.simulator.exchange import Schedule
from workbench.simulator.streaming import StreamFaults, chunks
from workbench.wire.dialect import Call, Encoder, Format

__all__ = ["Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """What a model has been asked, what it will have answered, and when it makes which token."""

    form: Format
    call: Call
    completions: Sequence[Completion]
    schedule: Schedule
    faults: StreamFaults
    created: int

    @property
    def usage(self) -> Usage:
        """What all of it is charged for."""
        usage = self.completions[0].usage
        if len(self.completions) == 1:
            return usage
        said = sum(completion.usage.output_tokens for completion in self.completions)
        return usage.model_copy(update={"output_tokens": said})

    def encode(self) -> dict[str, object]:
        """The whole answer as its endpoint shows it."""
        return self.form.encode(self.call, self.completions, self.created)

    def parts(self, encoder: Encoder) -> Iterable[tuple[float, bytes]]:
        """The answer's stream, token by token: seconds after the start of its service, and bytes."""
        # Of one that breaks off, not all tokens are made.
        return zip(self.schedule.offsets(), chunks(self.completions, encoder), strict=False)

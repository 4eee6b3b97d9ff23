"""Structured output: an answer as an instance of a Pydantic model, or an error that keeps what was said.

A provider's schema holds the model to JSON of the right form where it decodes with constraints, and to
nothing where it does not; bounds and validators it may never see.  So every answer is validated here,
and a wrong one is sent back with what is wrong about it.  Repairs are bounded: each pays for the whole again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from workbench.errors import ConfigurationError, InvalidOutputError
from workbench.messages import Completion, Message, Request, ResponseFormat, StopReason, Usage
from workbench.partial_json import PartialJson

__all__ = ["FieldsSoFar", "Parsed", "explain", "parse"]

ModelT = TypeVar("ModelT", bound=BaseModel)
_NOT_TO_BE_MENDED: dict[StopReason, str] = {
    "refusal": "the model refused",
    "length": "the answer was cut off at max_tokens",
    "context_window": "the answer was cut off where the context window ends",
    "tool_calls": "the model called a tool",
}


@dataclass(frozen=True, slots=True)
class Parsed(Generic[ModelT]):
    """An answer that is valid.

    Args:
        value: what it says.
        completion: the answer that says it.
        complaints: what was wrong with each answer before it.
        usage: of all answers together.
    """

    value: ModelT
    completion: Completion
    complaints: tuple[str, ...]
    usage: Usage

    @property
    def repairs(self) -> int:
        """How often the model was asked to mend its answer."""
        return len(self.complaints)


async def parse(
    complete: Callable[[Request], Awaitable[Completion]],
    request: Request,
    model: type[ModelT],
    repairs: int,
) -> Parsed[ModelT]:
    """Ask `request` until the answer is an instance of `model`; see :meth:`Provider.parse`.

    Args:
        complete: asks.
        request: what is asked; its own response format is replaced.
        model: what the answer is to be.
        repairs: how often a wrong answer is sent back, at most.
    """
    if repairs < 0:
        raise ConfigurationError(f"repairs must not be negative, got {repairs!r}")
    name = re.sub(r"\W+", "_", model.__name__, flags=re.ASCII)[:64]
    wanted = ResponseFormat(name=name, json_schema=model.model_json_schema())
    asked = Request.model_validate({**dict(request), "response_format": wanted})
    answers: list[Completion] = []
    complaints: list[str] = []
    while True:
        answers.append(answer := await complete(asked))
        usage = sum((each.usage for each in answers), Usage())
        try:
            if answer.stop_reason in _NOT_TO_BE_MENDED:
                complaint, repairs = _NOT_TO_BE_MENDED[answer.stop_reason], 0
            else:
                return Parsed(model.model_validate_json(answer.text), answer, tuple(complaints), usage)
        except ValidationError as error:
            complaint = explain(error.errors())
        complaints.append(complaint)
        if len(complaints) > repairs:
            raw = tuple(each.text for each in answers)
            message = f"no valid {model.__name__} in {len(raw)} answers; the last: {complaint}"
            raise InvalidOutputError(message, raw=raw, complaints=tuple(complaints), usage=usage)
        mend = Message(role="user", content=f"This is no valid {model.__name__}:\n{complaint}\nMend it.")
        turns = (*asked.messages, answer.to_message(), mend)
        asked = asked.model_copy(update={"messages": turns})


def explain(errors: Iterable[ErrorDetails]) -> str:
    """What is wrong, a line for each place: where, what, and the value."""
    return "\n".join(
        f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}, got {repr(each['input'])[:80]}"
        for each in errors
    )


class FieldsSoFar(Generic[ModelT]):
    """The fields of a model while its JSON is still being written; each is validated once it is whole.

    Args:
        model: what the JSON is to be.
    """

    def __init__(self, model: type[ModelT]) -> None:
        self._model = model
        self._json = PartialJson()
        self._checked = 0

    def feed(self, fragment: str) -> dict[str, Any]:
        """Take in the next fragment; what there is so far, the last field perhaps in part.

        Raises:
            InvalidOutputError: a field is whole and wrong, whatever may still come.
        """
        try:
            view = self._json.feed(fragment)
        except ValueError as error:
            raise self._error(str(error)) from error
        whole = list(view)[:-1]  # the last may go on
        if len(whole) > self._checked:
            self._checked = len(whole)
            self._check({name: view[name] for name in whole})
        return view

    def _check(self, fields: dict[str, Any]) -> None:
        try:
            self._model.model_validate_json(json.dumps(fields))
        except ValidationError as error:
            wrong = [each for each in error.errors() if each["loc"] and each["loc"][0] in fields]
            if wrong:  # the rest are fields that are still to come
                raise self._error(explain(wrong)) from error

    def whole(self) -> ModelT:
        """The instance, once the text has ended.

        Raises:
            InvalidOutputError: it is none.
        """
        try:
            return self._model.model_validate_json(self._json.text)
        except ValidationError as error:
            raise self._error(explain(error.errors())) from error

    def _error(self, complaint: str) -> InvalidOutputError:
        message = f"no valid {self._model.__name__}: {complaint}"
        return InvalidOutputError(message, raw=(self._json.text,), complaints=(complaint,), usage=Usage())

"""OpenAI's Responses API: the items that a conversation is made of, both directions.

What an assistant thought, said and called in one turn is several items there, and one message of ours.

Wire format: the OpenAI API reference, "Responses"; checked by the SDK's own types.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter

from workbench.messages import Message, Request, ToolCall
from workbench.wire.dialect import WireError, WireModel, compact, takes_free_text, text_of
from workbench.wire.responses_shapes import summary_part

__all__ = ["TAGS", "Item", "decode_items", "encode_messages", "seal"]


class _TextPart(WireModel):
    type: Literal["input_text", "output_text", "text", "summary_text"]
    text: str


class _RefusalPart(WireModel):
    type: Literal["refusal"]
    text: str = Field(alias="refusal")


class _OtherPart(WireModel):
    type: Literal["input_image", "input_file", "input_audio"]


_Part = Annotated[_TextPart | _RefusalPart | _OtherPart, Field(discriminator="type")]


class _Named(WireModel):
    id: str | None = None
    status: str | None = None


class _Message(_Named):
    type: Literal["message"]
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part]


class _Call(_Named):
    call_id: str
    name: str
    arguments: str


class _FunctionCall(_Call):
    type: Literal["function_call"]


class _CustomCall(_Call):
    type: Literal["custom_tool_call"]
    arguments: str = Field(alias="input")


class _Output(_Named):
    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: str
    output: str | list[_Part]


class _Reasoning(_Named):
    type: Literal["reasoning"]
    summary: list[_TextPart]
    encrypted_content: str | None = None


class _Compaction(_Named):
    type: Literal["compaction"]
    encrypted_content: str


class _OtherItem(_Named):
    """What the provider's own tools do; here there are none."""

    type: Literal[
        "apply_patch_call",
        "apply_patch_call_output",
        "code_interpreter_call",
        "computer_call",
        "computer_call_output",
        "file_search_call",
        "image_generation_call",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    ]


Item = Annotated[
    _Message | _FunctionCall | _CustomCall | _Output | _Reasoning | _Compaction | _OtherItem,
    Field(discriminator="type"),
]
_MODELS: tuple[type[WireModel], ...] = (
    *(_TextPart, _RefusalPart, _OtherPart),
    *(_Message, _FunctionCall, _CustomCall, _Output, _Reasoning, _Compaction, _OtherItem),
)
TAGS = frozenset(tag for model in _MODELS for tag in get_args(model.model_fields["type"].annotation))
"""The types by which items and their parts are told apart."""


# -- a request's items as our messages ------------------------------------------------------------------


def decode_items(items: Iterable[Item]) -> list[Message]:
    """The messages that `items` say.

    Raises:
        WireError: a call lacks its output, an output its call, or a compaction is not one of ours.
    """
    items = list(items)
    _check_calls(items)
    messages: list[Message] = []
    turn: list[Item] = []  # of the assistant, that is still read
    for item in items:
        if not _continues(turn, item):
            messages += _close(turn)
            turn = []
        if isinstance(item, _Message) and item.role != "assistant":
            role: Literal["system", "user"] = "user" if item.role == "user" else "system"
            messages.append(Message(role=role, content=text_of(item.content)))
        elif isinstance(item, _Output):
            messages.append(Message(role="tool", content=text_of(item.output), tool_call_id=item.call_id))
        elif isinstance(item, _Compaction):
            messages += _unseal(item.encrypted_content)
        elif not isinstance(item, _OtherItem):
            turn.append(item)
    return [*messages, *_close(turn)]


def _continues(turn: Sequence[Item], item: Item) -> bool:
    """Whether `item` belongs to the turn: it thinks, then speaks, then calls."""
    if isinstance(item, _Message) and item.role == "assistant":
        return all(isinstance(earlier, _Reasoning) for earlier in turn)
    return isinstance(item, _Call)


def _close(turn: Sequence[Item]) -> Iterator[Message]:
    message = Message(
        role="assistant",
        content="".join(text_of(item.content) for item in turn if isinstance(item, _Message)),
        thinking="".join(text_of(item.summary) for item in turn if isinstance(item, _Reasoning)),
        signature="".join(item.encrypted_content or "" for item in turn if isinstance(item, _Reasoning)),
        tool_calls=tuple(
            ToolCall(id=item.call_id, name=item.name, arguments=item.arguments)
            for item in turn
            if isinstance(item, _Call)
        ),
    )
    if any(isinstance(item, _Message) for item in turn) or message != Message(role="assistant"):
        yield message


def _check_calls(items: Iterable[Item]) -> None:
    open_calls: dict[str, None] = {}
    known: set[str] = set()
    for item in items:
        if isinstance(item, _Call):
            open_calls[item.call_id] = None
            known.add(item.call_id)
        elif isinstance(item, _Output):
            if item.call_id not in known:
                message = f"No tool call found for function call output with call_id {item.call_id}."
                raise WireError("invalid_request", message, param="input")
            open_calls.pop(item.call_id, None)
    if open_calls:
        message = f"No tool output found for function call {next(iter(open_calls))}."
        raise WireError("invalid_request", message, param="input")


# -- a compaction: what a model keeps of a conversation, closed to its client ----------------------------


def seal(messages: Sequence[Message]) -> str:
    """The ``encrypted_content`` of a compaction that stands for `messages`; no secret is kept here."""
    kept = [[message.role, message.content] for message in messages]
    return base64.b64encode(compact(kept).encode()).decode()


_KEPT = TypeAdapter(list[tuple[Literal["system", "user", "assistant"], str]])


def _unseal(sealed: str) -> list[Message]:
    try:
        kept = _KEPT.validate_python(json.loads(base64.b64decode(sealed, validate=True)))
    except ValueError as error:  # no base64, no UTF-8, no JSON, or another JSON
        message = f"The encrypted content {sealed[:20]!r}… could not be verified."
        code = "invalid_encrypted_content"
        raise WireError("invalid_request", message, param="input", code=code) from error
    return [Message(role=role, content=content) for role, content in kept]


# -- the client's side: our messages as items -------------------------------------------------------------


def encode_messages(request: Request) -> list[dict[str, Any]]:
    """The items that say the messages of `request`."""
    items: list[dict[str, Any]] = []
    custom: set[str] = set()  # the calls of tools that take free text
    for message in request.messages:
        custom |= {call.id for call in message.tool_calls if takes_free_text(request, call.name)}
        items += _encode_message(message, custom)
    return items


def _encode_message(message: Message, custom: Container[str | None]) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        kind = f"{'custom_tool' if message.tool_call_id in custom else 'function'}_call_output"
        yield {"type": kind, "call_id": message.tool_call_id, "output": message.content}
        return
    if message.thinking or message.signature:
        summary = [summary_part(message.thinking)] if message.thinking else []
        yield {"type": "reasoning", "summary": summary, "encrypted_content": message.signature or None}
    if message.content or not message.tool_calls:
        texts = [*(document.text for document in message.documents), message.content]
        parts = [{"type": "input_text", "text": text} for text in texts if text]
        content = parts if message.documents else message.content
        yield {"type": "message", "role": message.role, "content": content}
    for call in message.tool_calls:
        kind, name = ("custom_tool_call", "input") if call.id in custom else ("function_call", "arguments")
        yield {"type": kind, "call_id": call.id, "name": call.name, name: call.arguments}

"""OpenAI's Responses API: the items that a conversation is made of, both directions.

What an assistant thought, said and called in one turn is several items there, and one message of ours.  Here
is what an item looks like, wherever it stands: in a request, in an answer, in a list of what is stored.

Wire format: the OpenAI API reference, "Responses"; checked by the SDK's own types.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter

from workbench.messages import Message, ToolCall
from workbench.wire.dialect import WireError, WireModel, compact, text_of

__all__ = [
    "TAGS",
    "Item",
    "call_item",
    "decode_items",
    "encode_messages",
    "identify",
    "item_id",
    "message_item",
    "reasoning_item",
    "refusal_part",
    "seal",
    "summary_part",
    "text_part",
]


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


class _FunctionCall(_Named):
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str


class _FunctionOutput(_Named):
    type: Literal["function_call_output"]
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
        "custom_tool_call",
        "custom_tool_call_output",
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
    _Message | _FunctionCall | _FunctionOutput | _Reasoning | _Compaction | _OtherItem,
    Field(discriminator="type"),
]
_MODELS: tuple[type[WireModel], ...] = (
    *(_TextPart, _RefusalPart, _OtherPart),
    *(_Message, _FunctionCall, _FunctionOutput, _Reasoning, _Compaction, _OtherItem),
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
        elif isinstance(item, _FunctionOutput):
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
    return isinstance(item, _FunctionCall)


def _close(turn: Sequence[Item]) -> Iterator[Message]:
    message = Message(
        role="assistant",
        content="".join(text_of(item.content) for item in turn if isinstance(item, _Message)),
        thinking="".join(text_of(item.summary) for item in turn if isinstance(item, _Reasoning)),
        signature="".join(item.encrypted_content or "" for item in turn if isinstance(item, _Reasoning)),
        tool_calls=tuple(
            ToolCall(id=item.call_id, name=item.name, arguments=item.arguments)
            for item in turn
            if isinstance(item, _FunctionCall)
        ),
    )
    if any(isinstance(item, _Message) for item in turn) or message != Message(role="assistant"):
        yield message


def _check_calls(items: Iterable[Item]) -> None:
    open_calls: dict[str, None] = {}
    known: set[str] = set()
    for item in items:
        if isinstance(item, _FunctionCall):
            open_calls[item.call_id] = None
            known.add(item.call_id)
        elif isinstance(item, _FunctionOutput):
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


# -- items as they are shown, and as they are sent -------------------------------------------------------


def item_id(kind: str, response_id: str, index: int) -> str:
    """The id of the item at `index` of a response's output; `kind` is msg, fc, rs or cmp."""
    return f"{kind}_{response_id.removeprefix('resp_')}{index:02x}"


def text_part(text: str) -> dict[str, Any]:
    """What an assistant says."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> dict[str, Any]:
    """Why an assistant does not answer."""
    return {"type": "refusal", "refusal": text}


def summary_part(text: str) -> dict[str, Any]:
    """What is shown of a model's thoughts."""
    return {"type": "summary_text", "text": text}


def message_item(identity: str, part: dict[str, Any] | None, status: str = "completed") -> dict[str, Any]:
    """A message of an assistant's; `part` is its only one, None as long as there is none."""
    return {
        "id": identity,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [] if part is None else [part],
    }


def call_item(identity: str, call: ToolCall, status: str = "completed") -> dict[str, Any]:
    """A call of a function."""
    return {
        "id": identity,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }


def reasoning_item(identity: str, summary: str, encrypted: str | None) -> dict[str, Any]:
    """What a model thought, as far as it shows it."""
    parts = [summary_part(summary)] if summary else []
    item: dict[str, Any] = {"id": identity, "type": "reasoning", "summary": parts}
    return item if encrypted is None else item | {"encrypted_content": encrypted}


_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "compaction": "cmp",
}
_PART_DEFAULTS: dict[str, dict[str, Any]] = {
    "output_text": {"annotations": []},
    "input_image": {"detail": "auto"},
}


def identify(items: Iterable[dict[str, Any]], response_id: str) -> list[dict[str, Any]]:
    """A request's items as they are stored: each with an id, its text in parts."""
    suffix = response_id.removeprefix("resp_")
    shown = []
    for index, item in enumerate(items):
        prefix = _PREFIXES.get(item["type"], "item")
        given = {name: value for name, value in item.items() if value is not None}
        item = {"id": f"{prefix}_{index:02x}{suffix}", "status": "completed", **given}
        if item["type"] == "message":
            kind = "output_text" if item["role"] == "assistant" else "input_text"
            content = item["content"]
            parts = [{"type": kind, "text": content}] if isinstance(content, str) else content
            item["content"] = [_PART_DEFAULTS.get(part["type"], {}) | part for part in parts]
        shown.append(item)
    return shown


def encode_messages(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The items that say `messages`."""
    return [item for message in messages for item in _encode_message(message)]


def _encode_message(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        output = {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.content}
        yield output
        return
    if message.thinking or message.signature:
        summary = [summary_part(message.thinking)] if message.thinking else []
        yield {"type": "reasoning", "summary": summary, "encrypted_content": message.signature or None}
    texts = [*(document.text for document in message.documents), message.content]
    if message.content or not message.tool_calls:
        content: Any = message.content
        if message.documents:
            content = [{"type": "input_text", "text": text} for text in texts if text]
        yield {"type": "message", "role": message.role, "content": content}
    for call in message.tool_calls:
        fields = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
        yield {"type": "function_call", **fields}

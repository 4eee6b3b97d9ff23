"""OpenAI's Responses API: what an item looks like, where it is answered, streamed, or listed.

Wire format: the OpenAI API reference, "Responses"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from workbench.messages import ToolCall

__all__ = [
    "call_item",
    "identify",
    "item_id",
    "message_item",
    "reasoning_item",
    "refusal_part",
    "summary_part",
    "text_part",
]

_FUNCTION = ("fc", "function_call", "arguments")
_CUSTOM = ("ctc", "custom_tool_call", "input")


def item_id(kind: str, response_id: str, index: int) -> str:
    """The id of the item at `index` of a response's output; `kind` is msg, fc, ctc, rs or cmp."""
    return f"{kind}_{response_id.removeprefix('resp_')}{index:02x}"


def text_part(text: str, logprobs: Sequence[dict[str, object]] = ()) -> dict[str, Any]:
    """What an assistant says."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def refusal_part(refusal: str) -> dict[str, Any]:
    """Why an assistant does not answer."""
    return {"type": "refusal", "refusal": refusal}


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


def call_item(
    response_id: str, index: int, call: ToolCall, *, custom: bool, status: str = "completed"
) -> dict[str, Any]:
    """A call of a function, or of a `custom` tool, which takes free text."""
    prefix, kind, name = _CUSTOM if custom else _FUNCTION
    return {
        "id": item_id(prefix, response_id, index),
        "type": kind,
        "status": status,
        "call_id": call.id,
        "name": call.name,
        name: call.arguments,
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
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
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

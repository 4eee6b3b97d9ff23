"""OpenAI's Responses API: the answer, both directions; how it is streamed, stands in `responses_stream`.

Wire format: the OpenAI API reference, "Responses"; checked by the SDK's own types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.messages import Completion, Message, StopReason, ToolCall, Usage
from workbench.wire.dialect import Call, takes_free_text
from workbench.wire.openai_logprobs import encode_tokens
from workbench.wire.responses_items import seal
from workbench.wire.responses_shapes import (
    call_item,
    item_id,
    message_item,
    reasoning_item,
    refusal_part,
    text_part,
)

__all__ = [
    "decode_completion",
    "encode_compaction",
    "encode_completions",
    "in_progress",
    "unfinished",
]

_REASONS: dict[StopReason, str] = {"length": "max_output_tokens", "context_window": "max_output_tokens"}


def encode_completions(call: Call, completions: Sequence[Completion], created: int) -> dict[str, object]:
    """A ``response``; the protocol knows no second choice."""
    completion = completions[0]
    reason = _REASONS.get(completion.stop_reason)
    return in_progress(completion.id, completion.model, call, created) | {
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": _encode_output(call, completion),
        "usage": _encode_usage(completion.usage),
    }


def in_progress(identity: str, model: str, call: Call, created: int) -> dict[str, Any]:
    """A ``response`` of which nothing is there yet."""
    return {
        "id": identity,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "usage": None,
        "service_tier": "default",
        **call.options["echo"],
    }


def unfinished(response: dict[str, Any], status: str, error: str | None = None) -> dict[str, Any]:
    """`response` as long as it is not there, or when it will never be."""
    return response | {
        "status": status,
        "error": None if error is None else {"code": "server_error", "message": error},
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }


def _encode_usage(usage: Usage) -> dict[str, object]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.thinking_tokens},
        "total_tokens": usage.total_tokens,
    }


def _encode_output(call: Call, completion: Completion) -> list[dict[str, Any]]:
    """What it thought, said and called; only the last item can be cut off by the limit."""
    output = []
    if completion.thinking or completion.signature:
        shown, encrypted = _shown(call, completion.thinking, completion.signature)
        output.append(reasoning_item(item_id("rs", completion.id, 0), shown, encrypted))
    if completion.text or not (completion.tool_calls or completion.stop_reason in _REASONS):
        part = refusal_part(completion.text)
        if completion.stop_reason != "refusal":
            part = text_part(completion.text, encode_tokens(call, completion.text))
        output.append(message_item(item_id("msg", completion.id, len(output)), part))
    for tool_call in completion.tool_calls:
        custom = takes_free_text(call.request, tool_call.name)
        output.append(call_item(completion.id, len(output), tool_call, custom=custom))
    if completion.stop_reason in _REASONS and output and output[-1]["type"] != "reasoning":
        output[-1]["status"] = "incomplete"
    return output


def _shown(call: Call, thinking: str, signature: str) -> tuple[str, str | None]:
    """What is shown of the thinking: a summary, and its encrypted form, each if it was asked for."""
    options = call.options
    return thinking if options["summary"] else "", signature if options["encrypted"] else None


def encode_compaction(call: Call, completions: Sequence[Completion], created: int) -> dict[str, object]:
    """A ``response.compaction``: one closed item, with what the users said and a summary of all the rest."""
    completion = completions[0]
    kept = [message for message in call.options["messages"] if message.role == "user"]
    sealed = seal([*kept, Message(role="assistant", content=completion.text)])
    item = {"id": item_id("cmp", completion.id, 0), "type": "compaction", "encrypted_content": sealed}
    return {
        "id": completion.id,
        "object": "response.compaction",
        "created_at": created,
        "output": [item],
        "usage": _encode_usage(completion.usage),
    }


# -- the client's side: the SDK's objects back to our vocabulary ----------------------------------------


def decode_completion(response: Any) -> Completion:
    """The SDK's ``Response``."""
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    thoughts = [item for item in response.output if item.type == "reasoning"]
    calls = [item for item in response.output if item.type in ("function_call", "custom_tool_call")]
    refused = any(part.type == "refusal" for part in parts)
    return Completion(
        id=response.id,
        model=response.model,
        text="".join(part.refusal if part.type == "refusal" else part.text for part in parts),
        thinking="\n\n".join(part.text for item in thoughts for part in item.summary),
        signature="".join(item.encrypted_content or "" for item in thoughts),
        tool_calls=tuple(_decode_call(item) for item in calls),
        stop_reason=_decode_stop(response, calls=bool(calls), refused=refused),
        usage=_decode_usage(response.usage),
    )


def _decode_call(item: Any) -> ToolCall:
    arguments = item.arguments if item.type == "function_call" else item.input
    return ToolCall(id=item.call_id, name=item.name, arguments=arguments)


def _decode_stop(response: Any, *, calls: bool, refused: bool) -> StopReason:
    if response.status == "incomplete":
        return "refusal" if response.incomplete_details.reason == "content_filter" else "length"
    return "refusal" if refused else "tool_calls" if calls else "stop"


def _decode_usage(usage: Any) -> Usage:
    if usage is None:
        return Usage()
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.input_tokens_details.cached_tokens,
        cache_write_tokens=usage.input_tokens_details.cache_write_tokens,
        thinking_tokens=usage.output_tokens_details.reasoning_tokens,
    )

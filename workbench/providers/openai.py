"""OpenAI's chat completions and responses, and every server that speaks either (``base_url``)."""

from __future__ import annotations

from typing import Any

import openai
from openai.lib import _pydantic as sdk_schemas  # what the SDK's own `parse` sends

from workbench.errors import ServerError
from workbench.messages import Request
from workbench.providers.base import SdkProvider
from workbench.wire import (
    openai_answer,
    openai_request,
    responses_answer,
    responses_request,
    responses_stream,
)

__all__ = ["OpenAIProvider", "OpenAIResponsesProvider"]


class OpenAIProvider(SdkProvider):
    """The real ``AsyncOpenAI`` client behind our interface, by its chat completions.

    Args:
        client: the client; the SDK's own retries are switched off, since they would multiply with ours.
    """

    name = "openai"

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        completions = client.with_options(max_retries=0).chat.completions
        super().__init__(
            openai,
            client,
            completions.create,
            openai_request.encode_request,
            openai_answer.decode_completion,
            openai_answer.StreamDecoder,
            _strict,
        )

    async def _send(self, request: Request, **options: Any) -> Any:
        if options.get("stream"):
            options["stream_options"] = {"include_usage": True}
        return await super()._send(request, **options)


class OpenAIResponsesProvider(SdkProvider):
    """The real ``AsyncOpenAI`` client behind our interface, by its Responses API.

    A request brings its whole conversation along, and nothing is stored.  That API knows no stop sequences:
    a request that sets some is refused.

    Args:
        client: the client; the SDK's own retries are switched off, since they would multiply with ours.
    """

    name = "openai"

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        responses = client.with_options(max_retries=0).responses
        super().__init__(
            openai,
            client,
            responses.create,
            responses_request.encode_request,
            responses_answer.decode_completion,
            responses_stream.StreamDecoder,
            _strict,
        )

    async def _send(self, request: Request, **options: Any) -> Any:
        answer = await super()._send(request, **options)
        if getattr(answer, "status", None) == "failed":
            raise ServerError(answer.error.message, provider=self.name, status=200)
        return answer


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    return sdk_schemas._ensure_strict_json_schema(schema, path=(), root=schema)

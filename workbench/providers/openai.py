"""OpenAI's chat completions, and every server that speaks them (``base_url``)."""

from __future__ import annotations

from typing import Any

import openai

from workbench.messages import Request
from workbench.providers.base import SdkProvider
from workbench.wire.openai_answer import StreamDecoder, decode_completion
from workbench.wire.openai_request import encode_request

__all__ = ["OpenAIProvider"]


class OpenAIProvider(SdkProvider):
    """The real ``AsyncOpenAI`` client behind our interface.

    Args:
        client: the client; the SDK's own retries are switched off, since they would multiply with ours.
    """

    name = "openai"

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        completions = client.with_options(max_retries=0).chat.completions
        super().__init__(openai, completions.create, encode_request, decode_completion, StreamDecoder)

    async def _send(self, request: Request, **options: Any) -> Any:
        if options.get("stream"):
            options["stream_options"] = {"include_usage": True}
        return await super()._send(request, **options)

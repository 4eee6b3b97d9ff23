"""Anthropic's messages."""

from __future__ import annotations

import anthropic

from workbench.providers.base import SdkProvider
from workbench.wire.anthropic_client import StreamDecoder, decode_completion, encode_request

__all__ = ["AnthropicProvider"]


class AnthropicProvider(SdkProvider):
    """The real ``AsyncAnthropic`` client behind our interface.

    Args:
        client: the client; the SDK's own retries are switched off, since they would multiply with ours.
    """

    name = "anthropic"

    def __init__(self, client: anthropic.AsyncAnthropic) -> None:
        messages = client.with_options(max_retries=0).messages
        super().__init__(
            anthropic,
            client,
            messages.create,
            encode_request,
            decode_completion,
            StreamDecoder,
            anthropic.transform_schema,
        )

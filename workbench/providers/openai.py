"""OpenAI's chat completions, and every server that speaks them (``base_url``)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import openai

from workbench.errors import ProviderError
from workbench.events import Event
from workbench.messages import Completion, Request
from workbench.providers.base import checked, from_connection, from_status
from workbench.wire.openai_answer import StreamDecoder, decode_completion
from workbench.wire.openai_request import encode_request

__all__ = ["OpenAIProvider"]

_BROKEN = (openai.APIError, httpx2.HTTPError, ValueError)  # ValueError: an event that is no JSON


class OpenAIProvider:
    """The real ``AsyncOpenAI`` client behind our interface.

    Args:
        client: the client; the SDK's own retries are switched off, since they would multiply with ours.
    """

    name = "openai"

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self._client = client.with_options(max_retries=0)

    async def complete(self, request: Request) -> Completion:
        """The whole answer to `request`; see :class:`~workbench.providers.base.Provider`."""
        try:
            answer = await self._client.chat.completions.create(**encode_request(request))
        except openai.APIError as error:
            raise self._translate(error) from error
        return decode_completion(answer)

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """The answer's events; see :class:`~workbench.providers.base.Provider`."""
        arguments = {**encode_request(request), "stream_options": {"include_usage": True}}
        try:
            chunks = await self._client.chat.completions.create(**arguments, stream=True)
        except openai.APIError as error:
            raise self._translate(error) from error
        async with chunks:
            async for event in checked(_events(chunks), self.name, _BROKEN):
                yield event

    def _translate(self, error: openai.APIError) -> ProviderError:
        if isinstance(error, openai.APIStatusError):
            return from_status(error, self.name)
        return from_connection(error, self.name, timeout=isinstance(error, openai.APITimeoutError))


async def _events(chunks: openai.AsyncStream[openai.types.chat.ChatCompletionChunk]) -> AsyncIterator[Event]:
    decoder = StreamDecoder()
    async for chunk in chunks:
        for event in decoder.decode(chunk):
            yield event
    for event in decoder.end():
        yield event

"""Anthropic's messages."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import httpx2

from workbench.errors import InvalidRequestError, ProviderError
from workbench.events import Event
from workbench.messages import Completion, Request
from workbench.providers.base import checked, from_connection, from_status
from workbench.wire.anthropic_answer import StreamDecoder, decode_completion
from workbench.wire.anthropic_request import encode_request

__all__ = ["AnthropicProvider"]

_BROKEN = (anthropic.APIError, httpx2.HTTPError, ValueError)  # ValueError: an event that is no JSON


class AnthropicProvider:
    """The real ``AsyncAnthropic`` client behind our interface.

    Args:
        client: the client; the SDK's own retries are switched off, since they would multiply with ours.
    """

    name = "anthropic"

    def __init__(self, client: anthropic.AsyncAnthropic) -> None:
        self._client = client.with_options(max_retries=0)

    async def complete(self, request: Request) -> Completion:
        """The whole answer to `request`; see :class:`~workbench.providers.base.Provider`."""
        try:
            answer = await self._client.messages.create(**encode_request(request))
        except anthropic.APIError as error:
            raise self._translate(error) from error
        except ValueError as error:  # the SDK streams only, where an answer may take over ten minutes
            raise InvalidRequestError(str(error), provider=self.name) from error
        return decode_completion(answer)

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """The answer's events; see :class:`~workbench.providers.base.Provider`."""
        try:
            raw = await self._client.messages.create(**encode_request(request), stream=True)
        except anthropic.APIError as error:
            raise self._translate(error) from error
        async with raw:
            async for event in checked(_events(raw), self.name, _BROKEN):
                yield event

    def _translate(self, error: anthropic.APIError) -> ProviderError:
        if isinstance(error, anthropic.APIStatusError):
            return from_status(error, self.name)
        timeout = isinstance(error, anthropic.APITimeoutError)
        return from_connection(error, self.name, timeout=timeout)


async def _events(
    raw: anthropic.AsyncStream[anthropic.types.RawMessageStreamEvent],
) -> AsyncIterator[Event]:
    decoder = StreamDecoder()
    async for item in raw:
        for event in decoder.decode(item):
            yield event
    for event in decoder.end():
        yield event

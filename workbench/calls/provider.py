"""A provider under policies is a provider again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from workbench.clock import now
from workbench.errors import ProviderConnectionError, StreamInterruptedError
from workbench.events import Event, Finished
from workbench.messages import Completion, Request, Usage
from workbench.providers import Provider
from workbench.resilience.gates import Permits, settle
from workbench.tracing.genai import inference

if TYPE_CHECKING:
    from workbench.calls.resilient import Resilient

__all__ = ["Opened", "ResilientProvider"]


class ResilientProvider(Provider):
    """A provider under policies: see :meth:`workbench.calls.Resilient.provider`.

    Args:
        provider: the one that is called.
        policies: what applies to each call.
    """

    def __init__(self, provider: Provider, policies: Resilient) -> None:
        self.name = provider.name
        self._provider, self._policies = provider, policies

    async def complete(self, request: Request) -> Completion:
        """The whole answer to `request`; see :class:`~workbench.providers.Provider`."""
        policies, estimate = self._policies, self._estimate(request)
        with inference(self.name, request.model):
            answer = await policies.run(lambda: self._provider.complete(request), estimate)
        self._charge(estimate, answer.usage)
        return answer

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """The answer's events; a stream is tried again only before its first event."""
        with inference(self.name, request.model):
            estimate = self._estimate(request)
            opened = await self._policies.run(lambda: Opened.open(self._provider, request), estimate)
            event: Event | None = opened.first
            try:
                while event is not None:
                    if isinstance(event, Finished):
                        self._charge(estimate, event.usage)
                    yield event
                    event = await anext(opened.rest, None)
            except BaseException as error:
                await opened.end(error)
                raise
            await opened.end()

    def _estimate(self, request: Request) -> float:
        return self._policies.cost(request) if self._policies.cost else 0.0

    def _charge(self, estimate: float, usage: Usage) -> None:
        """Tell the limiter what the call has really used."""
        if self._policies.limit is not None:
            self._policies.limit.settle(estimate, usage.total_tokens)


class Opened:
    """A stream that has begun; what it comes to is said at its end to those who have admitted it."""

    def __init__(self, first: Event, rest: AsyncIterator[Event]) -> None:
        self.first, self.rest = first, rest
        self.permits: Permits = []
        self.took = 0.0

    @classmethod
    async def open(cls, provider: Provider, request: Request) -> Opened:
        """Open a stream and wait for its first event: until that, it can be tried again."""
        stream = provider.stream(request)
        try:
            first = await anext(stream, None)
        except StreamInterruptedError as error:
            raise ProviderConnectionError(str(error.args[0]), provider=provider.name) from error
        if first is None:
            raise ProviderConnectionError("the stream has no events", provider=provider.name)
        return cls(first, stream)

    async def end(self, error: BaseException | None = None) -> None:
        """It has ended, or ends here, by that error; None: it has succeeded."""
        settle(self.permits, now(), self.took, error)
        if hasattr(self.rest, "aclose"):
            await self.rest.aclose()

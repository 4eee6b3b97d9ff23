"""Several providers as one: the first that is healthy answers, and the next takes over where it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from workbench.calls.provider import ResilientProvider
from workbench.calls.resilient import Resilient
from workbench.errors import (
    CallNotPermittedError,
    ConfigurationError,
    ProviderError,
    QuotaExceededError,
    StreamInterruptedError,
)
from workbench.events import Event
from workbench.messages import Completion, Request
from workbench.providers import Provider
from workbench.resilience.breaker import CircuitBreaker
from workbench.resilience.retry import is_retryable

__all__ = ["Router"]


def _three_in_a_row() -> CircuitBreaker:
    return CircuitBreaker.after_failures(3, open_time=30.0)


class Router(Provider):
    """A provider that falls back from one to another by their health.

    Each has a breaker.  While it is open, calls go on to the next at once; when a later call has gone through
    as a probe, they come back.  What fails at every provider alike, such as a 400, is raised at once: it must
    not fail over.

    Args:
        routes: the model that each provider is asked for, in the order of preference, in place of a
            request's own.
        breaker: makes the breaker of one provider.
    """

    name = "router"

    def __init__(
        self,
        routes: Mapping[str, Provider],
        *,
        breaker: Callable[[], CircuitBreaker] = _three_in_a_row,
    ) -> None:
        if not routes:
            raise ConfigurationError("a router needs a route at least: {model: provider}")
        self.breakers = {model: breaker() for model in routes}
        self._routes = {
            model: ResilientProvider(provider, Resilient(breaker=self.breakers[model]))
            for model, provider in routes.items()
        }

    async def complete(self, request: Request) -> Completion:
        """The whole answer to `request`, of the first provider that gives one; `model` says which.

        Raises:
            ProviderError: the last provider failed, or one did in a way in which all would.
            CallNotPermittedError: no provider was healthy enough to be asked.
        """
        failures = _Failures()
        for model, provider in self._routes.items():
            try:
                return await provider.complete(request.model_copy(update={"model": model}))
            except (ProviderError, CallNotPermittedError, TimeoutError) as error:
                failures.add(model, error)
        raise failures.worst()

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """The events of the first provider whose answer begins; what breaks off is not taken over."""
        failures = _Failures()
        for model, provider in self._routes.items():
            try:
                async for event in provider.stream(request.model_copy(update={"model": model})):
                    yield event
                return
            except (ProviderError, CallNotPermittedError, TimeoutError) as error:
                failures.add(model, error)
        raise failures.worst()


class _Failures:
    """Why the providers that were asked have not answered."""

    def __init__(self) -> None:
        self._errors: dict[str, Exception] = {}

    def add(self, model: str, error: Exception) -> None:
        """Keep it, or raise it where another provider would not help."""
        over = isinstance(error, CallNotPermittedError | QuotaExceededError) or is_retryable(error)
        if not over or isinstance(error, StreamInterruptedError):
            raise error
        self._errors[model] = error

    def worst(self) -> Exception:
        """What to raise: what a provider said, before what a policy of ours did."""
        *_, worst = sorted(
            self._errors.values(), key=lambda error: not isinstance(error, CallNotPermittedError)
        )
        for model, error in self._errors.items():
            worst.add_note(f"{model}: {error}")
        return worst

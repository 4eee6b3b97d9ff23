"""A provider of the OpenAI and the Anthropic API that needs no key and no network.

The clients that it hands out are the real SDKs' own; only the bytes come from here.  Everything it does
(words, latency, queueing, limits, faults) comes from one seed, and its log tells what truly happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from workbench.errors import ConfigurationError
from workbench.simulator.answers import Script
from workbench.simulator.asgi import AsgiApp
from workbench.simulator.catalog import CATALOG
from workbench.simulator.engine import Engine
from workbench.simulator.line import Line
from workbench.simulator.log import RequestLog, RequestRecord
from workbench.simulator.models import (
    Faults,
    FaultWindow,
    Latency,
    ModelProfile,
    Outage,
    RateLimits,
)
from workbench.simulator.reception import Keys
from workbench.simulator.transport import AsyncTransport, SyncTransport

if TYPE_CHECKING:
    from anthropic import Anthropic, AsyncAnthropic
    from openai import AsyncOpenAI, OpenAI

__all__ = [
    "CATALOG",
    "FaultWindow",
    "Faults",
    "Latency",
    "ModelProfile",
    "Outage",
    "RateLimits",
    "RequestLog",
    "RequestRecord",
    "Script",
    "Simulator",
]

_KEY = "simulated-key"
_URL = "http://simulator.invalid"  # never looked up; the top-level domain is reserved (RFC 2606)


class Simulator:
    """A simulated provider, in process.

    Args:
        seed: of everything that is random; the same seed and program give the same log, byte for byte.
        models: replaces or adds to the built-in models, by name.
        limits: rate limits for every model, instead of each model's own.
        slots: requests that each model serves at once, instead of each model's own.
        faults: what goes wrong, and how often.
        script: what the models say: a function of the request, a mapping from a part of the prompt to
            an answer, or a sequence of answers. Without one they answer from the prompt.
        keys: the API keys that are accepted; by default any key is. A mapping gives each key its scopes
            (None: it may do everything).
        key_limits: rate limits of single keys, for every model, instead of each model's own.
        budget: dollars that each key may spend; then it is refused for good.
        edge_latency: seconds that every answer takes besides the model's own time.
        max_body_bytes: a larger request is refused with status 413.
        lenient: answer for models and stored objects that it has never heard of, as a mock server would,
            instead of a 404.
        float_embeddings: answer by numbers where embeddings are asked for in base64, as the SDK does by
            itself.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        models: Iterable[ModelProfile] = (),
        limits: RateLimits | None = None,
        slots: int | None = None,
        faults: Faults | None = None,
        script: Script | None = None,
        keys: Iterable[str] | Mapping[str, Iterable[str] | None] | None = None,
        key_limits: Mapping[str, RateLimits] | None = None,
        budget: float | None = None,
        edge_latency: float = 0.02,
        max_body_bytes: int = 32_000_000,
        lenient: bool = False,
        float_embeddings: bool = False,
    ) -> None:
        if edge_latency <= 0:
            message = f"edge_latency must be positive (no answer takes no time), got {edge_latency!r}"
            raise ConfigurationError(message)
        for name, value, kind in (("limits", limits, RateLimits), ("faults", faults, Faults)):
            if not isinstance(value, kind | None):
                wanted = f"{name}={kind.__name__}(...)"
                raise ConfigurationError(f"{name} must be given as {wanted}, got {value!r}")
        if budget is not None and not budget > 0:
            raise ConfigurationError(f"budget must be a positive number of dollars, got {budget!r}")
        for key_limit in (key_limits or {}).values():
            if not isinstance(key_limit, RateLimits):
                wanted = 'key_limits={"a key": RateLimits(...)}'
                raise ConfigurationError(f"key_limits must be given as {wanted}, got {key_limit!r}")
        if isinstance(keys, str):
            raise ConfigurationError("keys must be a collection of keys: put the one in a list")
        models = tuple(models)
        for model in models:
            if not isinstance(model, ModelProfile):
                raise ConfigurationError(f"models must be ModelProfiles, got {model!r}")
        changes: dict[str, Any] = {"limits": limits, "slots": slots}
        given = {name: value for name, value in changes.items() if value is not None}
        offered = {(m.provider, m.name): m for m in (*CATALOG, *models)}
        try:
            catalog = [ModelProfile(**{**dict(m), **given}) for m in offered.values()]
        except ValidationError as error:
            raise ConfigurationError(f"wrong settings for the simulator: {error}") from error
        self._engine = Engine(
            seed=seed,
            models=catalog,
            faults=faults or Faults(),
            script=script,
            keys=None if keys is None else _scopes(keys),
            key_limits=key_limits,
            budget=budget,
            edge_latency=edge_latency,
            max_body_bytes=max_body_bytes,
            lenient=lenient,
            float_embeddings=float_embeddings,
        )
        self._line = Line(self._engine)

    @classmethod
    def from_scenario(cls, name_or_path: str | Path, *, seed: int | None = None) -> Simulator:
        """The simulator that a scenario describes: one that comes with the workbench, or a TOML file.

        Args:
            name_or_path: its name, for example ``"rate-limited"``, or the file's path.
            seed: another seed than the scenario's own.

        Raises:
            ConfigurationError: there is no such scenario, or something in it is wrong.
        """
        from workbench.simulator.scenario import Scenario

        settings = Scenario.load(name_or_path).settings()
        return cls(**settings if seed is None else {**settings, "seed": seed})

    @property
    def log(self) -> RequestLog:
        """What happened so far, as the provider saw it."""
        with self._line.lock:
            return self._engine.log(self._line.timeline.latest())

    def revoke(self, key: str) -> None:
        """Refuse `key` from now on (401); requests that are under way are still answered.

        Raises:
            ConfigurationError: it is none of the simulator's `keys`.
        """
        with self._line.lock:
            keys = self._engine.keys or {}
            if key not in keys:
                raise ConfigurationError("this is no key that the simulator accepts: Simulator(keys=…)")
            self._engine.keys = {each: scopes for each, scopes in keys.items() if each != key}

    def now(self) -> float:
        """Seconds on the simulator's timeline, on which its log and its outages are."""
        return self._line.timeline.now()

    def transport(self, provider: Literal["openai", "anthropic"]) -> SyncTransport:
        """The transport under the sync clients, for what goes around it; any host is this provider's."""
        return SyncTransport(self._line, _known(provider))

    def async_transport(self, provider: Literal["openai", "anthropic"]) -> AsyncTransport:
        """The transport under the async clients, for what goes around it; any host is this provider's."""
        return AsyncTransport(self._line, _known(provider))

    def asgi(self) -> AsgiApp:
        """This simulator as an ASGI application, both APIs behind one address."""
        return AsgiApp(self._line)

    def serving(self, port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve both APIs over HTTP, in the running loop, for ``async with sim.serving() as url``.

        OpenAI's clients take ``base_url=f"{url}/v1"``, Anthropic's ``base_url=url``. At the end of the block
        answers that are under way are broken off, and nothing is left behind.

        Args:
            port: to listen on, on the loopback interface; 0: any free one.

        Raises:
            ConfigurationError: the port is taken, or the loop's time is virtual.
        """
        from workbench.simulator.server import serve

        return serve(self.asgi(), port)

    def openai(self, **options: Any) -> AsyncOpenAI:
        """A real ``AsyncOpenAI`` client; `options` are its own (``max_retries``, ``timeout``, …)."""
        import httpx2
        import openai

        http = httpx2.AsyncClient(transport=self.async_transport("openai"))
        return openai.AsyncOpenAI(**_client_options(options, "/v1", openai), http_client=http)

    def openai_sync(self, **options: Any) -> OpenAI:
        """A real, blocking ``OpenAI`` client."""
        import httpx2
        import openai

        http = httpx2.Client(transport=self.transport("openai"))
        return openai.OpenAI(**_client_options(options, "/v1", openai), http_client=http)

    def anthropic(self, **options: Any) -> AsyncAnthropic:
        """A real ``AsyncAnthropic`` client; `options` are its own (``max_retries``, ``timeout``, …)."""
        import anthropic
        import httpx2

        http = httpx2.AsyncClient(transport=self.async_transport("anthropic"))
        return anthropic.AsyncAnthropic(**_client_options(options, "", anthropic), http_client=http)

    def anthropic_sync(self, **options: Any) -> Anthropic:
        """A real, blocking ``Anthropic`` client."""
        import anthropic
        import httpx2

        http = httpx2.Client(transport=self.transport("anthropic"))
        return anthropic.Anthropic(**_client_options(options, "", anthropic), http_client=http)


def _scopes(keys: Iterable[str] | Mapping[str, Iterable[str] | None]) -> Keys:
    given = keys if isinstance(keys, Mapping) else dict.fromkeys(keys)
    return {key: None if scopes is None else frozenset(scopes) for key, scopes in given.items()}


def _known(provider: Literal["openai", "anthropic"]) -> Literal["openai", "anthropic"]:
    if provider not in ("openai", "anthropic"):
        raise ConfigurationError(f"provider must be 'openai' or 'anthropic', got {provider!r}")
    return provider


def _client_options(options: dict[str, Any], path: str, sdk: Any) -> dict[str, Any]:
    """The SDK's own default timeout, which it drops for a client that is handed to it."""
    return {
        "api_key": _KEY,
        "base_url": f"{_URL}{path}",
        "timeout": sdk.DEFAULT_TIMEOUT,
        **options,
    }

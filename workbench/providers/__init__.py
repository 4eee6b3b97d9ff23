"""LLM APIs behind one interface; by default the simulator, so that no notebook spends money by accident."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from workbench.clock import virtual_loop
from workbench.errors import ConfigurationError
from workbench.providers.base import Provider
from workbench.providers.structured import FieldsSoFar, Parsed

if TYPE_CHECKING:
    from workbench.providers.anthropic import AnthropicProvider as AnthropicProvider
    from workbench.providers.openai import OpenAIProvider as OpenAIProvider
    from workbench.providers.openai import OpenAIResponsesProvider as OpenAIResponsesProvider
    from workbench.simulator import Simulator

__all__ = [
    "AnthropicProvider",
    "FieldsSoFar",
    "OpenAIProvider",
    "OpenAIResponsesProvider",
    "Parsed",
    "Provider",
    "default_provider",
]

_log = logging.getLogger("workbench")
_SWITCH = "WORKBENCH_PROVIDER"


def __getattr__(name: str) -> object:
    """Import an adapter, and with it its SDK, when it is first asked for."""
    if name in ("OpenAIProvider", "OpenAIResponsesProvider"):
        from workbench.providers import openai

        return getattr(openai, name)
    if name == "AnthropicProvider":
        from workbench.providers.anthropic import AnthropicProvider

        return AnthropicProvider
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def default_provider(simulator: Simulator | None = None) -> Provider:
    """The provider that the environment asks for.

    Without the variable ``WORKBENCH_PROVIDER`` it is the simulator, even where a key is in the environment.
    ``WORKBENCH_PROVIDER=openai`` or ``anthropic`` switches to the real one, with the SDK's own variables
    (``OPENAI_API_KEY``, ``OPENAI_BASE_URL``, ``ANTHROPIC_API_KEY``, …), and says so in the log.

    Args:
        simulator: the simulator to use; None: a fresh one with seed 0.

    Raises:
        ConfigurationError: the variable has another value, or the key is missing.
    """
    wanted = os.environ.get(_SWITCH, "") or "simulator"
    if wanted == "simulator":
        return _simulated(simulator)
    if wanted not in ("openai", "anthropic"):
        allowed = "'simulator', 'openai' or 'anthropic'"
        raise ConfigurationError(f"the environment variable {_SWITCH} must be {allowed}, got {wanted!r}")
    return _real(wanted)


def _simulated(simulator: Simulator | None) -> Provider:
    from workbench.providers.openai import OpenAIProvider
    from workbench.simulator import Simulator

    return OpenAIProvider((simulator or Simulator()).openai())


def _real(wanted: str) -> Provider:
    key = f"{wanted.upper()}_API_KEY"
    if not os.environ.get(key):
        raise ConfigurationError(f"{_SWITCH}={wanted} needs a key in the environment variable {key}")
    provider: Provider
    if wanted == "openai":
        import openai

        from workbench.providers.openai import OpenAIProvider

        client = openai.AsyncOpenAI()
        provider, url = OpenAIProvider(client), client.base_url
    else:
        import anthropic

        from workbench.providers.anthropic import AnthropicProvider

        claude = anthropic.AsyncAnthropic()
        provider, url = AnthropicProvider(claude), claude.base_url
    if virtual_loop() is not None:
        raise ConfigurationError(
            f"{_SWITCH}={wanted} cannot answer in virtual time, where its first call would time out at once: "
            "use the wall clock (a cell without %%virtual, or wb.run(main, virtual=False))"
        )
    _log.warning("%s=%s: calls go to %s and cost money", _SWITCH, wanted, url)
    return provider

"""API keys at run time: looked up where they are kept, never written in code, and changed while calls go on.

    keys = load(EnvFile(".env"), VaultSecret("llm"))       # the environment first, then these, in order
    client = openai.AsyncOpenAI(api_key=keys.key("openai").get_secret_value())

A key is a ``SecretStr`` until the moment at which a client takes it: no repr, log or traceback shows it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from pydantic import SecretStr
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from workbench.errors import ConfigurationError
from workbench.redaction import remember

__all__ = ["AwsSecret", "Credentials", "EnvFile", "Keyring", "RotatingKey", "VaultSecret", "load"]


class Credentials(BaseSettings):
    """The keys that were found."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    openai_api_key: SecretStr | None = None
    anthropic_api_key: SecretStr | None = None

    def key(self, provider: str) -> SecretStr:
        """The key for ``"openai"`` or ``"anthropic"``.

        Raises:
            ConfigurationError: there is none in any of the places.
        """
        name = f"{provider}_api_key"
        if name not in type(self).model_fields:
            raise ConfigurationError(f"provider must be 'openai' or 'anthropic', got {provider!r}")
        if (key := getattr(self, name)) is None:
            raise ConfigurationError(f"no key for {provider}: set {name.upper()}, or name its place")
        found: SecretStr = key
        return found


class Place(Protocol):
    """Where keys are kept; it gives a source for pydantic-settings."""

    def source(self) -> PydanticBaseSettingsSource:
        """A source of the fields of :class:`Credentials`."""


class _Environment:
    def source(self) -> PydanticBaseSettingsSource:
        return EnvSettingsSource(Credentials)


@dataclass(frozen=True, slots=True)
class EnvFile:
    """A ``.env`` file, which git ignores."""

    path: str = ".env"

    def source(self) -> PydanticBaseSettingsSource:
        """The file's variables; a file that is not there has none."""
        return DotEnvSettingsSource(Credentials, env_file=self.path)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The operating system's own store: `service` is the entry, and the field's name the user."""

    service: str = "llm-workbench"

    def source(self) -> PydanticBaseSettingsSource:
        """The passwords of that service."""
        import keyring

        found = {name: keyring.get_password(self.service, name) for name in Credentials.model_fields}
        return InitSettingsSource(Credentials, {name: key for name, key in found.items() if key})


@dataclass(frozen=True, slots=True)
class AwsSecret:
    """A secret of AWS Secrets Manager: a JSON object of the fields; AWS' own configuration says who asks."""

    secret_id: str
    region: str | None = None
    endpoint_url: str | None = None

    def source(self) -> PydanticBaseSettingsSource:
        """pydantic-settings' own source."""
        _library("boto3", "aws")
        from pydantic_settings import AWSSecretsManagerSettingsSource

        return AWSSecretsManagerSettingsSource(
            Credentials, self.secret_id, self.region, self.endpoint_url, case_sensitive=False
        )


@dataclass(frozen=True, slots=True)
class VaultSecret:
    """A secret of Vault or OpenBao (KV, version 2); by default VAULT_ADDR and VAULT_TOKEN count."""

    path: str
    url: str | None = None
    token: SecretStr | None = field(default=None, repr=False)
    mount: str = "secret"

    def source(self) -> PydanticBaseSettingsSource:
        """The newest version of the secret."""
        hvac = _library("hvac", "vault")
        client = hvac.Client(url=self.url, token=self.token and self.token.get_secret_value())
        answer = client.secrets.kv.v2.read_secret_version(
            path=self.path, mount_point=self.mount, raise_on_deleted_version=True
        )
        fields = {name.lower(): key for name, key in answer["data"]["data"].items()}
        return InitSettingsSource(Credentials, fields)


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        message = f"this place needs {name}: pip install 'llm-workbench[{extra}]'"
        raise ConfigurationError(message) from None


def load(*places: Place) -> Credentials:
    """Look keys up: in the environment, then in `places`; the first that has one counts.

    Raises:
        ConfigurationError: a place cannot be read. What it said is not repeated: it may hold a key.
    """
    found: dict[str, Any] = {}
    for place in (_Environment(), *places):
        try:
            fields = place.source()()
        except ConfigurationError:
            raise
        except Exception as error:  # whatever a client library may raise
            raise ConfigurationError(f"cannot read keys from {place!r}: {type(error).__name__}") from None
        found = {name.lower(): key for name, key in fields.items() if key} | found
    for name, key in found.items():
        remember(key, name)
    return Credentials.model_validate(found)


class RotatingKey:
    """A key that is replaced while calls go on: each call keeps the key with which it began.

    Args:
        key: the first.
    """

    def __init__(self, key: SecretStr) -> None:
        self._key = key
        self._held: Counter[SecretStr] = Counter()
        self._changed = asyncio.Event()

    @contextmanager
    def lease(self) -> Iterator[SecretStr]:
        """The key for one call, its retries included: ``with key.lease() as secret:``."""
        key = self._key
        self._held[key] += 1
        try:
            yield key
        finally:
            self._held[key] -= 1
            self._changed.set()

    def rotate(self, new: SecretStr) -> SecretStr:
        """Give `new` to all calls that begin from now on; returns the key that it takes over from."""
        old, self._key = self._key, new
        return old

    async def drained(self, old: SecretStr) -> None:
        """Wait until no call holds `old`: then it may be revoked."""
        while self._held[old]:
            self._changed.clear()
            await self._changed.wait()
        del self._held[old]

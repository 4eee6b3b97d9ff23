"""Keys are found where they are kept, in real stores, change under load, and are never shown."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import hvac
import keyring
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyrings.alt.file import EncryptedKeyring
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from workbench import credentials, redaction
from workbench.clock import now, run
from workbench.credentials import AwsSecret, Credentials, EnvFile, Keyring, RotatingKey, VaultSecret, load
from workbench.errors import AuthenticationError, ConfigurationError
from workbench.messages import Request
from workbench.providers import OpenAIProvider
from workbench.redaction import REDACTED, RedactedText, RedactingFilter, Redactor
from workbench.simulator import Faults, Simulator

KEYS = [f"sk-proj-{letter * 24}" for letter in "abcdef"]
BAO = shutil.which("bao", path=str(Path(sys.executable).parent))


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, none that another test has looked up, and AWS' configuration not from this machine."""
    monkeypatch.setattr(redaction, "_remembered", {})
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "VAULT_ADDR", "VAULT_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """moto's server, with a secret in it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").disabled = True
    url = "http://{}:{}".format(*server.get_host_and_port())
    options: Any = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    client = boto3.client("secretsmanager", endpoint_url=url, **options)
    client.create_secret(Name="llm", SecretString=json.dumps({"OPENAI_API_KEY": KEYS[0]}))
    client.create_secret(Name="text", SecretString="no JSON, but " + KEYS[5])
    client.close()
    yield url
    server.stop()


@pytest.fixture(scope="module")
def vault() -> Iterator[str]:
    """OpenBao, Vault's free successor: a real server, in memory."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = ["-dev-no-store-token", "-dev-root-token-id=root", f"-dev-listen-address={address}"]
    server = subprocess.Popen(
        [str(BAO), "server", "-dev", "-log-level=error", *options], stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        next(line for line in server.stdout if b"server started" in line)
        client = hvac.Client(url=f"http://{address}", token="root")
        client.secrets.kv.v2.create_or_update_secret("llm", {"anthropic_api_key": KEYS[1]})
        client.adapter.close()
        yield f"http://{address}"
    finally:
        server.terminate()
        server.communicate()


def shown(found: Credentials) -> dict[str, str | None]:
    return {name: value and value.get_secret_value() for name, value in found}


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of several places the first that has a key counts; an empty variable is none."""
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEYS[0]}\nANTHROPIC_API_KEY={KEYS[1]}\nOTHER=1\n")
    monkeypatch.setenv("OPENAI_API_KEY", KEYS[2])
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    found = load(EnvFile(str(tmp_path / "none")), EnvFile(str(tmp_path / ".env")))
    assert shown(found) == {"openai_api_key": KEYS[2], "anthropic_api_key": KEYS[1]}


@pytest.mark.filterwarnings("ignore:PBKDF2:DeprecationWarning")  # keyrings.alt's, which names no hash
def test_a_keyring(tmp_path: Path) -> None:
    """The store that the keyring library is set to is asked; here it is an encrypted file."""
    before, store = keyring.get_keyring(), EncryptedKeyring()
    store.file_path, store.keyring_key = str(tmp_path / "keyring.cfg"), "a passphrase"
    keyring.set_keyring(store)
    try:
        keyring.set_password("mine", "openai_api_key", KEYS[0])
        assert shown(load(Keyring("mine"))) == {"openai_api_key": KEYS[0], "anthropic_api_key": None}
    finally:
        keyring.set_keyring(before)


def test_aws_secrets_manager(aws: str) -> None:
    """boto3 reads a secret from moto's server."""
    found = load(AwsSecret("llm", endpoint_url=aws))
    assert found.key("openai").get_secret_value() == KEYS[0]


@pytest.mark.skipif(BAO is None, reason="no OpenBao for this platform")
def test_vault(vault: str) -> None:
    """hvac reads a secret from a real OpenBao server; without the right token there is an error."""
    found = load(VaultSecret("llm", vault, SecretStr("root")))
    assert found.key("anthropic").get_secret_value() == KEYS[1]
    for path, token in (("llm", "wrong"), ("nothing", "root")):
        with pytest.raises(ConfigurationError, match=r"cannot read keys from VaultSecret\(path='.*: \w+$"):
            load(VaultSecret(path, vault, SecretStr(token)))


def test_what_cannot_be_read_is_named_and_not_shown(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the place; neither it nor its chain holds what the place said."""
    with pytest.raises(ConfigurationError, match="cannot read keys from AwsSecret") as caught:
        load(AwsSecret("text", endpoint_url=aws))
    assert KEYS[5] not in str(caught.getrepr(showlocals=False))
    assert caught.value.__cause__ is None
    monkeypatch.setattr(credentials, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    for place, extra in ((AwsSecret("llm"), "aws"), (VaultSecret("llm"), "vault")):
        with pytest.raises(ConfigurationError, match=rf"pip install 'llm-workbench\[{extra}\]'"):
            load(place)


def test_a_key_that_is_not_there() -> None:
    """Each provider's key is asked for by name, and its lack is an error that says what to do."""
    with pytest.raises(ConfigurationError, match="no key for openai: set OPENAI_API_KEY"):
        load().key("openai")
    with pytest.raises(ConfigurationError, match="got 'else'"):
        load().key("else")


def test_no_repr_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the credentials, nor a rotating key, nor a place with a token shows a secret."""
    monkeypatch.setenv("OPENAI_API_KEY", KEYS[0])
    things = [load(), RotatingKey(SecretStr(KEYS[0])), VaultSecret("x", token=SecretStr(KEYS[0]))]
    assert KEYS[0] not in f"{things!r} {[str(thing) for thing in things]} {load().model_dump_json()}"


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("patient", [True, False])
def test_rotation_under_load(kind: str, patient: bool) -> None:
    """Of 200 calls none fails if the old key is revoked after its calls have ended; else some do."""
    old, new = KEYS[:2]
    sim = Simulator(keys=[old, new], slots=20, faults=Faults(error_rate=0.1))
    key = RotatingKey(SecretStr(old))
    model = {"openai": "gpt-4o", "anthropic": "claude-sonnet-5"}[kind]
    question: Any = {"model": model, "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 20}

    async def call(number: int) -> Any:
        await asyncio.sleep(number * 0.005)
        with key.lease() as secret:
            client: Any = sim.openai(max_retries=9) if kind == "openai" else sim.anthropic(max_retries=9)
            client = client.with_options(api_key=secret.get_secret_value())
            ask = client.chat.completions if kind == "openai" else client.messages
            return await ask.create(**question)

    async def rotate() -> float:
        await asyncio.sleep(0.5)
        before = key.rotate(SecretStr(new))
        if patient:
            await key.drained(before)
        sim.revoke(before.get_secret_value())
        return now()

    async def main() -> tuple[list[Any], float]:
        calls = asyncio.gather(*map(call, range(200)), return_exceptions=True)
        revoked = await rotate()
        return await calls, revoked

    answers, revoked = run(main)
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    assert bool(failed) == (not patient)
    assert {type(error).__name__ for error in failed} <= {"AuthenticationError"}
    assert revoked > 0.5 if patient else revoked == 0.5
    provider = OpenAIProvider(sim.openai(api_key=old))
    with pytest.raises(AuthenticationError, match="401"):
        run(lambda: provider.complete(Request.model_validate({"model": "gpt-4o", "messages": "Why?"})))


def test_what_cannot_be_revoked() -> None:
    """A key that the simulator never accepted, or a simulator that accepts any, is the caller's mistake."""
    for sim in (Simulator(keys=["a"]), Simulator()):
        with pytest.raises(ConfigurationError, match="no key that the simulator accepts"):
            sim.revoke("b")


def test_a_key_without_the_scope() -> None:
    """The provider's 403 reaches the caller as an error of ours."""
    sim = Simulator(keys={KEYS[0]: ["api.model.read"]})
    client = sim.openai(api_key=KEYS[0])
    run(lambda: client.models.list()._get_page())
    with pytest.raises(openai.PermissionDeniedError, match="Missing scopes"):
        run(
            lambda: client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "?"}]
            )
        )


PRIVATE = "-----BEGIN {0}-----\nMIIEow+/=\n-----END {0}-----".format("PRIVATE KEY")
WORDS = ["See ", "\n", "sk-proj-", "a" * 24, ", ", "key=", "AKIA" + "AB12" * 4, PRIVATE, *KEYS]


@given(st.lists(st.sampled_from(WORDS), max_size=12), st.data())
def test_a_stream_shows_no_key_however_it_is_cut(words: list[str], data: st.DataObject) -> None:
    """Pieces that are cut anywhere add up to the redacted text."""
    text, redactor = "".join(words), Redactor()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    stream = RedactedText(redactor)
    parts = [stream.feed(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join([*parts, stream.end()]) == redactor.text(text)


def test_a_stream_waits_for_nothing_but_keys() -> None:
    """What cannot become a key is shown at once, words that only contain the beginning of one included."""
    stream = RedactedText(Redactor())
    pieces = ["wor", "king task", "-a", " sk", "ip", " s", "k-proj-", "a" * 30]
    assert [stream.feed(piece) for piece in pieces] == ["wor", "king task", "-a", " ", "skip", " ", "", ""]
    assert stream.end() == REDACTED


def test_a_found_key_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key of no known form, once it was looked up, is redacted wherever it stands."""
    (tmp_path / ".env").write_text("OPENAI_API_KEY=battery-horse-staple\n")
    redactor = Redactor()
    load(EnvFile(str(tmp_path / ".env")))
    assert redactor.text("it is battery-horse-staple") == f"it is {REDACTED}"


def test_a_log_shows_no_key() -> None:
    """Message, arguments and traceback of a record come out without the key."""
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RedactingFilter())
    log = logging.Logger("one")
    log.addHandler(handler)
    try:
        raise RuntimeError(f"refused {KEYS[0]}")
    except RuntimeError:
        log.exception("with %s and %s", KEYS[1], 3)
    assert out.getvalue().startswith(f"with {REDACTED} and 3\nTraceback")
    assert f"RuntimeError: refused {REDACTED}" in out.getvalue()

"""Secrets are found whatever carries them, and nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.secret_scan import find_secrets
from workbench.redaction import KEYS, REDACTED, Redactor, keys_in_use

PRIVATE = "-----BEGIN RSA PRIVATE {0}-----\nMIIEow+/=\nabcd\n-----END RSA PRIVATE {0}-----".format("KEY")
MADE_UP = {
    "Anthropic key": "sk-ant-api03-" + "Ab1_" * 8,
    "OpenAI key": "sk-proj-" + "Ab1-" * 8,
    "OpenAI organization or project": "org-" + "Ab1" * 8,
    "AWS key": "AKIA" + "AB12" * 4,
    "Google key": "AIza" + "aB1-_" * 7,
    "GitHub token": "ghp_" + "aB1" * 12,
    "Hugging Face token": "hf_" + "aB1" * 11,
    "Slack token": "xoxb-" + "12345-abcde",
    "Vault token": "hvs." + "CAESIJ" * 5,
    "Stripe key": "sk_live_" + "aB1" * 8,
    "GitLab token": "glpat-" + "aB1-" * 5,
    "npm token": "npm_" + "aB1" * 12,
    "JSON web token": "eyJ" + "hbGciOiJIUzI1" + ".eyJ" + "zdWIiOiIxMjM0" + "." + "SflKxwRJSMeKKF2Q",
    "private key": PRIVATE,
}
NAMES = ["api_key", "apiKey", "x-api-key", "client_secret", "access_token", "password", "Authorization"]
kinds = pytest.mark.parametrize("kind", KEYS)
redactor = Redactor()

texts = st.text(st.characters(codec="utf-8", exclude_characters="-_"), max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def event(text: str, index: int = 0) -> str:
    """One event of a stream of OpenAI's."""
    return f"data: {json.dumps({'choices': [{'index': index, 'delta': {'content': text}}]})}\n\n"


def heard(stream: str, index: int = 0) -> str:
    """What the events of a stream say together."""
    said = [json.loads(line[6:])["choices"][0] for line in stream.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"]["content"] for choice in said if choice["index"] == index)


def test_each_kind_of_key_has_an_example_here() -> None:
    """No pattern is without a test."""
    assert MADE_UP.keys() == KEYS.keys()


@kinds
def test_the_scan_of_files_finds_what_is_redacted(kind: str) -> None:
    """The secret scan and the redaction know the same keys, and what is redacted passes the scan."""
    key = MADE_UP[kind]
    assert kind in {found for _, found in find_secrets(f"x = '{key}'")}
    assert list(find_secrets(redactor.text(f"x = '{key}'"))) == []


@kinds
@pytest.mark.parametrize("place", ["{}", "a {}, b", "url?x={}&y=1", "k={}", '"{}"', "({})", "key:{}\n"])
def test_a_key_in_text(kind: str, place: str) -> None:
    """A key goes from any place in a text, and all around it stays."""
    assert redactor.text(place.format(MADE_UP[kind])) == place.format(REDACTED)


@kinds
def test_a_key_in_json(kind: str) -> None:
    """A key goes from JSON, however it is escaped and however deep; the JSON stays JSON."""
    key = MADE_UP[kind]
    escaped = "".join(f"\\u{ord(c):04x}" for c in key)
    for text in (
        json.dumps({"a": [1, f"my {key}!"]}),
        f'{{"a": [1, "my {escaped}!"]}}',
        json.dumps({"a": [1, f"my {key}!"]}, indent=2),
    ):
        assert json.loads(redactor.text(text)) == {"a": [1, f"my {REDACTED}!"]}
    nested = json.dumps({"arguments": json.dumps({"inner": json.dumps({"k": key})})})
    assert json.loads(json.loads(json.loads(redactor.text(nested))["arguments"])["inner"]) == {"k": REDACTED}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDE", True),  # pragma: allowlist secret
        ('"db_password": "Tr0ubadour4and3"', True),  # pragma: allowlist secret
        ("Authorization: Bearer mF_9aB5f4aq1JqM77xyz", True),  # pragma: allowlist secret
        ('"print(\\"password=Tr0ubadour4and3\\")\\n"', True),  # pragma: allowlist secret
        ("postgresql://app:Tr0ubadour4@db/prod", True),  # pragma: allowlist secret
        ("postgresql://app:password@localhost/prod", False),
        ('api_key = os.environ["OPENAI_API_KEY"]', False),
        ('password = "{{ vault_password }}"', False),
        ("sk-cube-grid-loading-spinner-small", False),
        ("--hash=sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", False),
        ("def connect(password: str, token: SecretStr2) -> None: ...", False),
    ],
)
def test_the_scan_goes_by_names_as_well(line: str, found: bool) -> None:
    """What has no form is found by the name that it stands under; hashes, templates and types are not."""
    assert bool(list(find_secrets(line))) == found


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_under_a_secret_name(name: str) -> None:
    """Whatever a field of such a name holds goes, in its own form; its neighbours stay."""
    before = {"a": "b", name: 'pass"word\n', "n": {name: [7, {"value": "x", "on": True}, None]}}
    after = {"a": "b", name: REDACTED, "n": {name: [0, {"value": REDACTED, "on": True}, None]}}
    for indent in (None, 1):
        text = json.dumps(before, indent=indent)
        assert redactor.text(f"prose {text} prose") == f"prose {json.dumps(after, indent=indent)} prose"
    arguments = json.dumps({"arguments": json.dumps(before)})
    assert json.loads(json.loads(redactor.text(arguments))["arguments"]) == after


def test_what_a_model_says_of_tokens_stays() -> None:
    """Names that only sound secret are none: counts of tokens, a log-probability's token, a signature."""
    said = {"max_tokens": 5, "usage": {"prompt_tokens": 1}, "token": "the", "signature": "EqQB", "key": "c"}
    assert redactor.text(json.dumps(said)) == json.dumps(said)
    for header in ("x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-limit", "x-request-id"):
        assert not redactor.is_secret_header(header)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "x-api-key",
        "api-key",
        "X-Goog-Api-Key",
        "Cookie",
        "set-cookie",
        "OpenAI-Organization",
        "openai-project",
        "anthropic-organization-id",
        "anthropic-workspace-id",
        "X-Amz-Security-Token",
        "X-Auth-Token",
    ],
)
def test_secret_headers(name: str) -> None:
    """Headers that carry keys, cookies, organizations and projects are secret."""
    assert redactor.is_secret_header(name)


def test_urls() -> None:
    """A URL loses its user, its secret parameters and keys in its path; nothing else changes."""
    url = f"https://me:pw@host:8080/v1/{MADE_UP['Slack token']}/x?key=abc&a=1%202&api-key=&sig=d%2Fe&b"
    clean = f"https://host:8080/v1/{REDACTED}/x?key={REDACTED}&a=1%202&api-key=&sig={REDACTED}&b"
    assert redactor.url(url) == clean
    assert redactor.url(clean) == clean


def test_more_names_and_known_values() -> None:
    """Names and values of one's own are secret, too; a short value is not looked for everywhere."""
    mine = Redactor(["X-Tenant", "visitorId"], ["correct horse battery", "short"])
    text = '{"visitor_id": "v", "tenant": "t", "said": "a correct horse battery, short"}'
    assert mine.text(text) == (
        f'{{"visitor_id": "{REDACTED}", "tenant": "t", "said": "a {REDACTED}, short"}}'
    )
    assert mine.is_secret_header("x-tenant")
    knowing = redactor.knowing({"Authorization": "Bearer local-model-key", "Accept": "application/json"})
    assert (
        knowing.text("wrong key: local-model-key; application/json")
        == f"wrong key: {REDACTED}; application/json"
    )


def test_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys in use are those variables' values that are long enough to be one."""
    monkeypatch.setenv("SOME_API_KEY", "looks-like-nothing")
    monkeypatch.setenv("OTHER_API_KEY", "short")
    assert keys_in_use()["looks-like-nothing"] == "SOME_API_KEY"
    assert "short" not in keys_in_use()
    assert redactor.text("it looks-like-nothing") == f"it {REDACTED}"  # made before the key was known


def test_no_repr_shows_a_secret() -> None:
    """A redactor's repr counts what it knows."""
    assert repr(Redactor(["a"], ["correct horse battery"])) == "<Redactor: 1 more names, 1 known values>"


# -- cut in pieces -----------------------------------------------------------------------------------------


@kinds
def test_a_key_that_is_cut_by_chunks(kind: str) -> None:
    """At every place at which a chunk may end the key goes, and the parts stay as many."""
    body = event(f"it is {MADE_UP[kind]}!").encode()
    whole = b"".join(redactor.body([body]))
    assert heard(whole.decode()) == f"it is {REDACTED}!"
    for cut in range(len(body) + 1):
        parts = redactor.body([body[:cut], body[cut:]])
        assert len(parts) == 2
        assert b"".join(parts) == whole


@kinds
def test_a_key_that_is_cut_by_events(kind: str) -> None:
    """A key that a model writes in two tokens, at every place, goes, also where two choices take turns."""
    text = f"it is {MADE_UP[kind]}!"
    for cut in range(len(text) + 1):
        stream = event(text[:cut]) + event(text[:5], 1) + event(text[cut:]) + event(text[5:], 1)
        clean = redactor.text(stream + "data: [DONE]\n\n")
        assert heard(clean) == heard(clean, 1) == f"it is {REDACTED}!"


@given(st.data())
def test_a_key_in_tokens_and_chunks(data: st.DataObject) -> None:
    """However a key is cut into tokens, and their events into chunks, it goes, and all else stays."""
    key = data.draw(st.sampled_from(sorted(MADE_UP.values())))
    text = f"{data.draw(texts)} {key} {data.draw(texts)}"
    tokens = cut(data, text)
    body = "".join(map(event, tokens)).encode()
    chunks = cut(data, body)
    clean = redactor.body(chunks)
    assert len(clean) == len(chunks)
    assert heard(b"".join(clean).decode()) == text.replace(key, REDACTED)


def cut(data: st.DataObject, whole: Any) -> list[Any]:
    """Cut a text or bytes at any places."""
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


def test_tool_arguments_that_come_in_pieces() -> None:
    """A secret field in a tool call's arguments goes, although no event holds it as a whole."""
    pieces = ['{"pass', 'word":', ' "hun', 'ter2"', ', "a": 1}']
    clean = redactor.text("".join(map(event, pieces)))
    assert json.loads(heard(clean)) == {"password": REDACTED, "a": 1}


# -- what stays ----------------------------------------------------------------------------------------


@given(documents)
def test_harmless_json_stays(document: Any) -> None:
    """JSON without secrets comes out as it went in, byte for byte."""
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, indent=1)):
        assert redactor.text(text) == text


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_any_bytes_survive(parts: list[bytes]) -> None:
    """Bytes without secrets stay as they are, whatever they are."""
    clean = redactor.body(parts)
    assert len(clean) == len(parts)
    assert clean == parts or b"".join(clean) != b"".join(parts)
    assert redactor.body(clean) == clean


@given(
    st.lists(
        st.sampled_from([*MADE_UP.values(), '{"', '"', '": "', "password", "data: ", "\n", ",", "}", "\\"])
    )
)
def test_once_is_enough(pieces: list[str]) -> None:
    """A second pass changes nothing, and no key is left, however they and damaged JSON are put together."""
    clean = redactor.text("".join(pieces))
    assert redactor.text(clean) == clean
    assert not [kind for kind, pattern in KEYS.items() if pattern.search(clean)]

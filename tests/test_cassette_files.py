"""A cassette's file: every byte comes back, damage is named with its place, and no secret is in it."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from workbench.cassettes import file
from workbench.cassettes.cleaning import clean_request, clean_response
from workbench.cassettes.exchange import (
    Ending,
    Exchange,
    Part,
    RecordedRequest,
    RecordedResponse,
    error_class,
)
from workbench.cassettes.library import Library
from workbench.cassettes.matching import difference, key_of, nearest
from workbench.errors import CassetteFormatError, MissingRecordingError
from workbench.redaction import REDACTED, Redactor

KEY = "sk-proj-" + "AbCdEf0123456789" * 2
redactor = Redactor()

times = st.integers(0, 10**13).map(lambda ns: ns / 1e9)
texts = st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass"))
bodies = st.binary(max_size=20) | texts
headers = st.dictionaries(*[st.text(st.characters(max_codepoint=255), max_size=8)] * 2, max_size=3)
errors = [n for n in httpx2.__all__ if error_class(n)]
exchanges = st.builds(
    Exchange,
    request=st.builds(RecordedRequest, method=st.text(), url=st.text(), headers=headers, body=bodies),
    response=st.builds(
        RecordedResponse,
        at=times,
        status=st.integers(100, 999),
        headers=headers,
        parts=st.lists(st.builds(Part, at=times, body=bodies), max_size=4),
    ),
    end=st.builds(
        Ending, at=times, how=st.sampled_from(["complete", "left", *errors]), message=st.text(max_size=8)
    ),
)


def exchange(url: str = "http://h/v1", body: bytes = b"", parts: tuple[bytes, ...] = (b"x",)) -> Exchange:
    """A POST of JSON, and its answer."""
    return Exchange(
        request=RecordedRequest(
            method="POST", url=url, headers={"content-type": "application/json"}, body=body
        ),
        response=RecordedResponse(at=0, status=200, parts=[Part(at=1, body=part) for part in parts]),
        end=Ending(at=2, how="complete"),
    )


# -- round trips -----------------------------------------------------------------------------------------


@given(st.lists(exchanges, max_size=3))
@example(
    [exchange(parts=("\x85 \u2028\r\n\t\ufeff \x7f".encode(), b"\n", b" \n x\n", b"a \nb\n\n", b"{", b"- "))]
)
@example(
    [exchange(parts=(b"123", b"null", b"~", b"yes", b"1e3", b"2025-01-01", b"=", b"<<", b"", b" ", b"# x"))]
)
@example([exchange(parts=("a\n\x85b\n".encode(), "a\n\u2028b\n".encode(), "a\n\ufeffb".encode()))])
def test_every_byte_comes_back(recorded: list[Exchange]) -> None:
    """What is dumped is read again as it was, by PyYAML's C parts and without them."""
    text = file.dump(recorded)
    assert file.parse(text, "x") == recorded
    assert yaml.load(text, Loader=yaml.SafeLoader) == yaml.load(text, Loader=yaml.CSafeLoader)
    assert file.dump(file.parse(text, "x")) == text


@given(st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), min_size=1))
def test_lines_are_lines(lines: list[str]) -> None:
    """A body of ordinary lines, in any script, is written line by line."""
    body = "".join(f"data: {line}é😀\n" for line in lines)
    dumped = file.dump([exchange(parts=(body.encode(),))])
    assert "\n      body: |\n" + "".join(f"        data: {line}é😀\n" for line in lines) in dumped


# -- damage ----------------------------------------------------------------------------------------------

GOOD = file.dump([exchange(), exchange()])


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        pytest.param(
            "cassette: 1", "cassette: 2", "has version 2; this workbench reads version 1", id="newer"
        ),
        pytest.param("cassette: 1", "cassette: one", "has version 'one'", id="no version"),
        pytest.param(
            "workbench_cassette", "tape", "no cassette, it has no 'workbench_cassette'", id="another"
        ),
        pytest.param(
            "exchanges:", "interactions:", "x.yaml:2: exchanges: Input should be a valid list", id="none"
        ),
        pytest.param("status: 200", "status: OK", r"x.yaml:11: exchanges\[0\].response.status: ", id="type"),
        pytest.param("status: 200", "status: 20", r"x.yaml:11: exchanges\[0\].response.status: ", id="range"),
        pytest.param("  end:\n", "  ends:\n", r"x.yaml:4: exchanges\[0\].end: Field required", id="field"),
        pytest.param(
            "how: complete", "how: KeyError", r"x.yaml:17: .*end.how: .*transport errors", id="error"
        ),
        pytest.param("at: 1.0", "at: -1.0", r"exchanges\[0\].response.parts\[0\].at: ", id="negative"),
        pytest.param("at: 1.0", "at: .inf", r"exchanges\[0\].response.parts\[0\].at: ", id="infinite"),
        pytest.param("body: x", "body: [x]", r"exchanges\[0\].response.parts\[0\].body: ", id="body"),
        pytest.param("body: x", "body: !!binary a%b=", "x.yaml:14: this is no YAML: no base64", id="base64"),
        pytest.param(
            "body: x", "body: !!python/object:os.x", "x.yaml:14: this is no YAML: could not", id="tag"
        ),
        pytest.param("body: x", "body: 2025-13-45", "x.yaml: this is no YAML: ValueError", id="date"),
        pytest.param("body: x", "body: 'x", "x.yaml:[0-9]+: this is no YAML", id="quote"),
        pytest.param("body: x", "body: x\0", "x.yaml: this is no YAML", id="character"),
        pytest.param("workbench", "<<<<<<< HEAD\nworkbench", "x.yaml:[0-9]: this is no YAML", id="conflict"),
        pytest.param(GOOD, "", "this is no cassette", id="empty"),
        pytest.param(GOOD, "[" * 5000, "this is no YAML", id="deep"),
    ],
)
def test_damage_is_named_with_its_place(old: str, new: str, complaint: str) -> None:
    """A file that is damaged, or of another kind, is an error with the line and what is wrong there."""
    assert old in GOOD
    with pytest.raises(CassetteFormatError, match=complaint):
        file.parse(GOOD.replace(old, new, 1), "x.yaml")


def test_an_answer_that_never_came_is_not_complete() -> None:
    """An exchange that says it is complete has a response."""
    start, end = GOOD.index("  response:"), GOOD.index("  end:")
    with pytest.raises(CassetteFormatError, match="'complete' has a response"):
        file.parse(GOOD[:start] + GOOD[end:], "x.yaml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are an error that names the file."""
    (tmp_path / "x.yaml").write_bytes(b"\xff")
    with pytest.raises(CassetteFormatError, match="this is no text"):
        file.load(tmp_path / "x.yaml")


@given(st.integers(0, len(GOOD)))
def test_a_file_that_is_cut_off(length: int) -> None:
    """A file that ends anywhere before its end is an error, or holds the exchanges that came before."""
    try:
        read = file.parse(GOOD[:length], "x.yaml")
    except CassetteFormatError:
        return
    assert read == [exchange()] * len(read)


def test_no_secret_is_in_a_complaint() -> None:
    """The complaint about a field does not show what is in it."""
    with pytest.raises(CassetteFormatError) as caught:
        file.parse(GOOD.replace("status: 200", f"status: {KEY}"), "x.yaml")
    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__


# -- what reaches the disk -------------------------------------------------------------------------------


def cleaned(body: bytes = b"", **headers: str) -> RecordedRequest:
    """A request as it is stored."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return clean_request("post", "http://me:pw@h/v1?key=abc&x=1", named, body, redactor)


def test_of_a_request_only_what_is_safe_is_kept() -> None:
    """Of the headers only those that are on the list reach the disk; the URL loses its secrets."""
    request = cleaned(
        accept="*/*",
        authorization=f"Bearer {KEY}",
        content_type="application/json",
        x_stainless_os="Linux",
        user_agent="x",
        x_gateway_password="abc",
        anthropic_version="2023-06-01",
        idempotency_key="stainless-python-retry-1",
    )
    assert list(request.headers) == ["accept", "content-type", "anthropic-version"]
    assert (request.method, request.url) == ("POST", f"http://h/v1?key={REDACTED}&x=1")


def test_secret_fields_of_forms() -> None:
    """A form loses its secret fields, plain or in several parts, and its parts their random boundary."""
    kind = "application/x-www-form-urlencoded"
    assert cleaned(b"a=1&api_key=x", content_type=kind).body == f"a=1&api_key={REDACTED}".encode()
    bodies = set()
    for boundary in ("0123", '"a b"'):
        with httpx2.Client() as client:
            sent = client.build_request(
                "POST",
                "http://h",
                data={"password": "hunter2", "purpose": "batch"},
                files={"file": ("x.jsonl", json.dumps({"api_key": "x", "n": 1}))},
                headers={"content-type": f"multipart/form-data; boundary={boundary}"},
            )
        request = cleaned(sent.read(), content_type=sent.headers["content-type"])
        assert request.headers["content-type"] == "multipart/form-data; boundary=boundary"
        bodies.add(request.body)
    (body,) = bodies
    assert b"hunter2" not in body
    assert b'name="purpose"\r\n\r\nbatch\r\n' in body
    assert f'{{"api_key": "{REDACTED}", "n": 1}}'.encode() in body


def answer(parts: list[bytes], **headers: str) -> RecordedResponse:
    """An answer as it is stored."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = RecordedResponse(at=0, status=200, headers=named, parts=[Part(at=1, body=part) for part in parts])
    return clean_response(raw, redactor)


def test_of_an_answer_secret_headers_go() -> None:
    """Cookies and organizations go, and keys from all other headers."""
    clean = answer(
        [], set_cookie="a=b", openai_organization="acme", x_note=f"for {KEY}", x_request_id="req_1"
    )
    assert clean.headers == {"x-note": f"for {REDACTED}", "x-request-id": "req_1"}


@given(st.data())
def test_compressed_answers_are_stored_plain(data: st.DataObject) -> None:
    """A compressed body, however it is cut, is stored as text, without its keys and with its right length."""
    coding = data.draw(st.sampled_from(["gzip", "deflate"]))
    plain = json.dumps({"a": f"my {KEY}"}).encode()
    body = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=3)))
    parts = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    clean = answer(parts, content_encoding=coding, content_length=str(len(body)))
    assert json.loads(clean.body) == {"a": f"my {REDACTED}"}
    assert clean.headers == {"content-length": str(len(clean.body))}
    assert len(clean.parts) == len(parts)


def test_a_damaged_compressed_answer_stays_damaged() -> None:
    """Where a body cannot be decompressed, a replay's client fails as the first one did."""
    clean = answer([b"this is no gzip"], content_encoding="gzip")
    response = httpx2.Response(200, headers=clean.headers, stream=httpx2.ByteStream(clean.body))
    with pytest.raises(httpx2.DecodingError):
        response.read()


# -- matching --------------------------------------------------------------------------------------------


def asked(body: Any, url: str = "http://h/v1", method: str = "POST", **dump: Any) -> RecordedRequest:
    """A request with a JSON body."""
    text = json.dumps(body, **dump).encode()
    return clean_request(method, url, {"content-type": "application/json"}, text, redactor)


documents = st.dictionaries(
    st.text(max_size=5), st.integers() | st.text(max_size=5) | st.lists(st.booleans()), max_size=4
)


@given(documents, documents)
def test_json_is_compared_by_what_it_says(one: dict[str, Any], other: dict[str, Any]) -> None:
    """White space, escapes and the order of keys do not matter; everything else does."""
    turned = dict(reversed(one.items()))
    assert key_of(asked(one)) == key_of(asked(turned, indent=3, ensure_ascii=False))
    assert (key_of(asked(one)) == key_of(asked(other))) == (one == other)


@pytest.mark.parametrize(
    ("url", "equal"),
    [
        ("https://another:8080/v1/x?a=1&b=2", True),
        ("http://h/v1/x?b=2&a=1", True),
        ("http://h/v1/x?a=1", False),
        ("http://h/v1/x?a=1&b=", False),
        ("http://h/v1/y?a=1&b=2", False),
    ],
)
def test_the_address_is_compared_without_the_host(url: str, equal: bool) -> None:
    """Path and query count, the query's order and the host do not."""
    first = key_of(asked({}, "http://h/v1/x?a=1&b=2"))
    assert (key_of(asked({}, url)) == first) is equal
    assert key_of(asked({}, "http://h/v1/x?a=1&b=2", method="PUT")) != first


def test_what_is_no_json_is_compared_as_bytes() -> None:
    """Text, damaged JSON and binary bodies are equal if they are the same."""
    for body in (b'{"a": ', b"text", b"\xff\x00"):
        one, other = (
            clean_request("POST", "http://h", {"content-type": "application/json"}, each, redactor)
            for each in (body, body + b" ")
        )
        assert key_of(one) != key_of(other)
        assert difference(one, other)


def test_the_difference_is_short() -> None:
    """A difference shows the values that differ, cut to where they do, and no more than a dozen lines."""
    long = "word " * 200
    (old, new) = difference(asked({"a": [1, {"b": long + "x"}]}), asked({"a": [1, {"b": long + "y"}]}))
    assert (old[:13], old[-3:]) == ('- a[1].b: "wo', ' x"')
    assert new[-3:] == ' y"'
    assert len(old) < 120
    many = difference(asked(list(range(50))), asked(list(range(50, 100))))
    assert (len(many), many[-1]) == (13, "… and 88 lines more")


def test_the_nearest_is_shown() -> None:
    """The nearest is the one with most lines in common, then the one with most letters."""
    recorded = [
        asked({"model": "a", "q": "what is the time?"}),
        asked({"model": "a", "q": "why is it so?"}),
        asked({"model": "b", "q": "why is this so?"}),
    ]
    assert nearest(asked({"model": "a", "q": "why is this so?"}), recorded) == 1
    assert nearest(asked({"model": "a"}, "http://h/other"), []) is None


def test_a_lone_surrogate_can_be_shown() -> None:
    """The error is a text that can be printed, whatever the request holds."""
    library = Library([exchange()], "x", repeat=False)
    with pytest.raises(MissingRecordingError) as caught:
        library.find(asked({"q": "\ud800"}))
    assert str(caught.value).encode()


@given(st.lists(st.integers(0, 3), max_size=12))
def test_equal_requests_take_turns(numbers: list[int]) -> None:
    """Each request gets the recordings of its equals in their order, whatever is asked in between."""
    recorded = [exchange(body=b"%d" % n, parts=(b"%d" % i,)) for i, n in enumerate(numbers)]
    library = Library(recorded, "x", repeat=False)
    for number in sorted(numbers):
        turn = next(each for each in library.unplayed() if each.request.body == b"%d" % number)
        assert library.find(exchange(body=b" %d" % number).request) is turn
    assert library.unplayed() == []

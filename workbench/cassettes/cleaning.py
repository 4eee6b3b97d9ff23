"""What of an exchange may reach the disk: no secret, nothing compressed, nothing that differs by chance.

A request is cleaned as it is sent, and is compared in that form.  An answer is cleaned as it is stored.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence

import httpx2

from workbench.cassettes.exchange import Part, RecordedRequest, RecordedResponse
from workbench.redaction import REDACTED, Redactor

__all__ = ["clean_request", "clean_response"]

# Kept of a request: what says how its body is to be read, and which version of an API is meant.  All else
# names the sender: keys, organizations, cookies, the SDK's own fields with its platform and its retries.
_KEPT = ("accept", "content-type", "anthropic-beta", "anthropic-version", "openai-beta")
_BOUNDARY = re.compile(r'(?<=boundary=)("[^"]*"|[^;\s]+)')
_FIELD = re.compile(
    rb'(content-disposition: *form-data;[^\r\n]*name="(?P<name>[^"]*)"(?:\r\n[^\r\n]+)*\r\n\r\n)'
    rb"(?P<value>.+?)(?=\r\n--boundary)",
    re.DOTALL | re.IGNORECASE,
)


def clean_request(
    method: str, url: str, headers: Mapping[str, str], body: bytes, redactor: Redactor
) -> RecordedRequest:
    """A request as it is stored and compared; header names in lower case."""
    kept = {name: redactor.text(headers[name]) for name in _KEPT if name in headers}
    kind = kept.get("content-type", "")
    if kind.startswith("multipart/") and (found := _BOUNDARY.search(kind)):
        body = body.replace(b"--" + found[0].strip('"').encode(), b"--boundary")  # drawn anew each time
        kept["content-type"] = _BOUNDARY.sub("boundary", kind)
        body = _FIELD.sub(lambda match: _field(match, redactor), body)
    elif kind.startswith("application/x-www-form-urlencoded"):
        body = redactor.query(body.decode("latin-1")).encode("latin-1")
    (body,) = redactor.body([body])
    return RecordedRequest(method=method.upper(), url=redactor.url(url), headers=kept, body=body)


def _field(match: re.Match[bytes], redactor: Redactor) -> bytes:
    secret = redactor.is_secret(match["name"].decode("latin-1"))
    return match[1] + (REDACTED.encode() if secret else match["value"])


def clean_response(response: RecordedResponse, redactor: Redactor) -> RecordedResponse:
    """An answer as it is stored; decompressed, since a key in compressed bytes would not be seen."""
    headers = {
        name: redactor.text(value)
        for name, value in response.headers.items()
        if not redactor.is_secret_header(name)
    }
    raw = [part.body for part in response.parts]
    bodies = raw
    if coding := headers.get("content-encoding"):
        with contextlib.suppress(httpx2.DecodingError):  # damaged: the client's error, and a replay's
            bodies = _decoded(coding, raw)
        if bodies != raw:
            del headers["content-encoding"]
    bodies = redactor.body(bodies)
    if (length := headers.get("content-length", "")).isdigit():
        headers["content-length"] = str(int(length) + sum(map(len, bodies)) - sum(map(len, raw)))
    parts = [Part(at=part.at, body=body) for part, body in zip(response.parts, bodies, strict=True)]
    return RecordedResponse(at=response.at, status=response.status, headers=headers, parts=parts)


def _decoded(coding: str, bodies: Sequence[bytes]) -> list[bytes]:
    """What each part of a compressed body adds to the plain one."""
    made: list[bytes] = []

    def feed() -> Iterator[bytes]:
        for body in bodies:
            made.append(b"")
            yield body

    for plain in httpx2.Response(200, headers={"content-encoding": coding}, content=feed()).iter_bytes():
        made[-1] += plain
    return made

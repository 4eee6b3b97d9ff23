"""Cassettes as vcrpy has them, version 1 of its format.

It holds less than ours: no times, a body as one, nothing that failed.  So an export loses the first two and
leaves out the last; what was imported is answered at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter

from workbench.cassettes import file
from workbench.cassettes.cleaning import clean_request, clean_response
from workbench.cassettes.exchange import COMPLETE, Ending, Exchange, Part, RecordedResponse
from workbench.errors import CassetteFormatError
from workbench.redaction import Redactor

__all__ = ["export_vcr", "import_vcr"]

Source = str | os.PathLike[str]
Headers = dict[str, list[str] | str]


class _Request(BaseModel):
    method: str
    uri: str
    headers: Headers = {}
    body: bytes | None = None


class _Status(BaseModel):
    code: int
    message: str | None = None


class _Body(BaseModel):
    string: bytes | None = None


class _Response(BaseModel):
    status: _Status
    headers: Headers = {}
    body: _Body


class _Interaction(BaseModel):
    request: _Request
    response: _Response


_INTERACTIONS = TypeAdapter(list[_Interaction])


def export_vcr(source: Source, target: Source) -> list[Exchange]:
    """Write one of our cassettes in vcrpy's format.

    Args:
        source: the path of our cassette.
        target: the path of vcrpy's; a file there is replaced.

    Returns:
        the exchanges that vcrpy cannot hold, and which are therefore left out: those without a whole answer.

    Raises:
        CassetteFormatError: `source` is damaged, or no cassette.
    """
    exchanges = file.load(Path(source))
    whole = [exchange for exchange in exchanges if exchange.response and exchange.end.how == COMPLETE]
    text = file.to_yaml({"interactions": [_interaction(exchange) for exchange in whole], "version": 1})
    file.write(Path(target), text)
    return [exchange for exchange in exchanges if exchange not in whole]


def _interaction(exchange: Exchange) -> dict[str, Any]:
    request, response = exchange.request, exchange.response
    assert response is not None
    known = response.status in HTTPStatus._value2member_map_
    return {
        "request": {
            "body": request.body,
            "headers": _lists(request.headers),
            "method": request.method,
            "uri": request.url,
        },
        "response": {
            "body": {"string": response.body},
            "headers": _lists(response.headers),
            "status": {
                "code": response.status,
                "message": HTTPStatus(response.status).phrase if known else "",
            },
        },
    }


def _lists(headers: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in headers.items()}


def import_vcr(source: Source, target: Source, *, secrets: Iterable[str] = ()) -> None:
    """Make one of our cassettes out of vcrpy's; its secrets are removed.

    Args:
        source: the path of vcrpy's cassette (YAML or JSON).
        target: the path of ours; a file there is replaced.
        secrets: names of headers, query parameters and JSON fields that are secret besides the usual ones.

    Raises:
        CassetteFormatError: `source` is damaged, or not vcrpy's.
    """
    name = str(source)
    text = file.read(Path(source))
    data = file.from_yaml(text, name)
    if not isinstance(data, dict) or "interactions" not in data or data.get("version") != 1:
        raise CassetteFormatError(f"{name}: this is not vcrpy's, or not version 1 of its format")
    interactions = file.validated(_INTERACTIONS, "interactions", data, text, name)
    redactor = Redactor(secrets)
    file.write(Path(target), file.dump([_exchange(each, redactor) for each in interactions]))


def _exchange(interaction: _Interaction, redactor: Redactor) -> Exchange:
    request, response = interaction.request, interaction.response
    headers = _joined(request.headers)
    redactor = redactor.knowing(headers)
    parts = [Part(at=0, body=response.body.string)] if response.body.string else []
    answer = RecordedResponse(
        at=0, status=response.status.code, headers=_joined(response.headers), parts=parts
    )
    return Exchange(
        request=clean_request(request.method, request.uri, headers, request.body or b"", redactor),
        response=clean_response(answer, redactor),
        end=Ending(at=0, how=COMPLETE),
    )


def _joined(headers: Headers) -> dict[str, str]:
    return {
        name.lower(): value if isinstance(value, str) else ", ".join(value) for name, value in headers.items()
    }

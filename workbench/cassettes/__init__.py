"""Cassettes: HTTP recorded once and replayed for ever, with the time and the bytes of every chunk.

A cassette goes around a transport of httpx2, under the real SDK clients, and keeps what they were answered
in a file that people can read, without the secrets in it.  A replay never sends anything.

    exchange.py   the data                        recording.py   replaying.py   the two kinds of transport
    cleaning.py   what of it may reach the disk   matching.py    library.py     which recording is meant
    file.py       as YAML                         vcr.py                        as vcrpy has it
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

import httpx2

from workbench.cassettes import file
from workbench.cassettes.cleaning import clean_request
from workbench.cassettes.exchange import Exchange
from workbench.cassettes.library import Library
from workbench.cassettes.recording import AsyncRecordingTransport, Recorder, RecordingTransport
from workbench.cassettes.replaying import ReplayTransport
from workbench.cassettes.vcr import export_vcr, import_vcr
from workbench.clock import virtual_loop
from workbench.errors import CassetteError, ConfigurationError, MissingRecordingError
from workbench.redaction import Redactor

__all__ = ["Cassette", "export_vcr", "import_vcr"]

Mode = Literal["replay", "record", "auto"]
Pace = Literal["instant", "recorded"]
AfterLast = Literal["error", "repeat"]

_SWITCH = "WORKBENCH_CASSETTES"
_LIMITS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)  # the SDKs' own


class Cassette:
    """A recording of HTTP exchanges, made or replayed.

    As a context manager it is written at the end of its block, whole or not at all; not if the block fails.

    Args:
        path: of the file, in YAML.
        mode: ``"replay"`` answers from the file, and never from the network; ``"record"`` sends, and writes
            the file anew; ``"auto"`` replays where the file is there, and records where it is not.  None:
            what the environment variable ``WORKBENCH_CASSETTES`` says, or ``"replay"``.
        pace: how a replay spends the recorded delays: ``"instant"`` not at all; ``"recorded"`` on the current
            clock, be it virtual or the wall's.
        after_last: what a request gets that comes more often than it was recorded: an ``"error"``, or the
            last recording again (``"repeat"``).
        secrets: names of headers, query parameters and JSON fields that are secret besides the usual ones.

    Raises:
        ConfigurationError: an argument is wrong.
        MissingRecordingError: there is no file to replay.
        CassetteFormatError: the file is damaged, or no cassette.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mode: Mode | None = None,
        pace: Pace = "instant",
        after_last: AfterLast = "error",
        secrets: Iterable[str] = (),
    ) -> None:
        self._path = Path(path)
        chosen = mode or os.environ.get(_SWITCH) or "replay"
        for name, value, kind in (
            ("mode" if mode else f"the environment variable {_SWITCH}", chosen, Mode),
            ("pace", pace, Pace),
            ("after_last", after_last, AfterLast),
        ):
            if value not in get_args(kind):
                allowed = " or ".join(map(repr, get_args(kind)))
                raise ConfigurationError(f"{name} must be {allowed}, got {value!r}")
        if isinstance(secrets, str):
            raise ConfigurationError("secrets must be a collection of names: put the one in a list")
        self._records = chosen == "record" or (chosen == "auto" and not self._path.exists())
        self._paced = pace == "recorded"
        self._redactor = Redactor(secrets)
        self._recorders: list[Recorder] = []
        self._closed = False
        recordings = [] if self._records else self._load()
        self._library = Library(recordings, str(self._path), repeat=after_last == "repeat")

    def _load(self) -> list[Exchange]:
        if not self._path.exists():
            advice = f'record it with mode="record" or "auto", or {_SWITCH}=record in the environment'
            raise MissingRecordingError(f"there is no cassette at {str(self._path)!r}: {advice}")
        return file.load(self._path)

    def __repr__(self) -> str:
        what = f"{len(self._recorders)} recorded" if self._records else f"{len(self.unplayed)} left to replay"
        return f"<Cassette {str(self._path)!r}: {what}>"

    @property
    def mode(self) -> Literal["replay", "record"]:
        """What it does; ``"auto"`` has been decided."""
        return "record" if self._records else "replay"

    @property
    def exchanges(self) -> list[Exchange]:
        """What is on it, in the order of the requests; without secrets."""
        if self._records:
            return [recorder.exchange() for recorder in self._recorders]
        return list(self._library.exchanges)

    @property
    def unplayed(self) -> list[Exchange]:
        """The exchanges on file that nobody has asked for yet."""
        return self._library.unplayed()

    def transport(self, inner: httpx2.BaseTransport | None = None) -> httpx2.BaseTransport:
        """A transport for an ``httpx2.Client``.

        Args:
            inner: what sends while this records; None: the network.
        """
        if not self._records:
            return ReplayTransport(self._find, paced=self._paced)
        if inner is None:
            _refuse_virtual_time()
            return RecordingTransport(httpx2.HTTPTransport(limits=_LIMITS), self._begin_on_the_network)
        return RecordingTransport(inner, self._begin)

    def async_transport(self, inner: httpx2.AsyncBaseTransport | None = None) -> httpx2.AsyncBaseTransport:
        """A transport for an ``httpx2.AsyncClient``.

        Args:
            inner: what sends while this records; None: the network.
        """
        if not self._records:
            return ReplayTransport(self._find, paced=self._paced)
        if inner is None:
            _refuse_virtual_time()
            network = httpx2.AsyncHTTPTransport(limits=_LIMITS)
            return AsyncRecordingTransport(network, self._begin_on_the_network)
        return AsyncRecordingTransport(inner, self._begin)

    def client(self, inner: httpx2.BaseTransport | None = None, **options: Any) -> httpx2.Client:
        """A client for ``OpenAI(http_client=...)`` or ``Anthropic(http_client=...)``; `options`: its own."""
        return httpx2.Client(transport=self.transport(inner), **{"follow_redirects": True, **options})

    def async_client(
        self, inner: httpx2.AsyncBaseTransport | None = None, **options: Any
    ) -> httpx2.AsyncClient:
        """A client for ``AsyncOpenAI(http_client=...)`` and ``AsyncAnthropic(http_client=...)``."""
        return httpx2.AsyncClient(
            transport=self.async_transport(inner), **{"follow_redirects": True, **options}
        )

    def save(self) -> None:
        """Write what is recorded by now; a replay has nothing to write."""
        if self._records:
            file.write(self._path, file.dump(self.exchanges))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_value is None:
            self.save()
        elif self._records:
            exc_value.add_note(f"{str(self._path)!r} was not written, since its block failed")
        self._closed = True

    def _begin(self, request: httpx2.Request, body: bytes) -> Recorder:
        if self._closed:
            raise CassetteError(f"{str(self._path)!r} is closed: this request would not be on it")
        recorder = Recorder(request, body, self._redactor)
        self._recorders.append(recorder)
        return recorder

    def _begin_on_the_network(self, request: httpx2.Request, body: bytes) -> Recorder:
        _refuse_virtual_time()
        return self._begin(request, body)

    def _find(self, request: httpx2.Request, body: bytes) -> Exchange:
        redactor = self._redactor.knowing(request.headers)
        asked = clean_request(request.method, str(request.url), request.headers, body, redactor)
        return self._library.find(asked)


def _refuse_virtual_time() -> None:
    if virtual_loop() is not None:
        raise ConfigurationError(
            "the network cannot answer in virtual time, where its first call would time out at once: record "
            'on the wall clock (wb.run(main, virtual=False)), and replay in virtual time by pace="recorded"'
        )

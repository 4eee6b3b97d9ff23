"""The recordings of one cassette, each to be played in its turn."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

from workbench.cassettes.exchange import Exchange, RecordedRequest
from workbench.cassettes.matching import Key, difference, key_of, nearest, title
from workbench.cassettes.replaying import missing

__all__ = ["Library"]


class Library:
    """Finds what was recorded for a request; equal requests get theirs in the order of the file.

    Args:
        exchanges: the recordings.
        name: of their file.
        repeat: play the last one again for a request that comes more often; else that is an error.
    """

    def __init__(self, exchanges: Sequence[Exchange], name: str, *, repeat: bool) -> None:
        self.exchanges = exchanges
        self._name, self._repeat = name, repeat
        self._lock = threading.Lock()
        self._played: dict[Key, int] = defaultdict(int)
        self._turns: dict[Key, list[Exchange]] = defaultdict(list)
        for exchange in exchanges:
            self._turns[key_of(exchange.request)].append(exchange)

    def unplayed(self) -> list[Exchange]:
        """Those that nobody has asked for yet."""
        return [each for key, turns in self._turns.items() for each in turns[self._played[key] :]]

    def find(self, asked: RecordedRequest) -> Exchange:
        """The recording whose turn it is.

        Raises:
            MissingRecordingError: there is none; the message shows the nearest.
        """
        key = key_of(asked)
        turns = self._turns.get(key, [])
        with self._lock:
            turn = self._played[key]
            if turns and (turn < len(turns) or self._repeat):
                self._played[key] = turn + 1
                return turns[min(turn, len(turns) - 1)]
        raise missing("\n".join(self._explain(asked, len(turns))))

    def _explain(self, asked: RecordedRequest, times: int) -> list[str]:
        """Why there is no recording, and what to do."""
        advice = f'nothing was sent; record {self._name!r} again with mode="record"'
        if times:
            count = "once" if times == 1 else f"{times} times"
            repeat = 'or repeat the last one by after_last="repeat"'
            return [f"{title(asked)} was recorded {count}, and asked for once more; {advice}, {repeat}"]
        requests = [exchange.request for exchange in self.exchanges]
        index = nearest(asked, requests)
        if index is None:
            return [f"there is no recording of {title(asked)}, nor of anything else; {advice}"]
        return [
            f"there is no recording of {title(asked)}; {advice}",
            f"the nearest of {len(requests)} is number {index + 1} (- recorded, + asked for):",
            *(f"  {line}" for line in difference(requests[index], asked)),
        ]

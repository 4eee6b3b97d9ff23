"""The log as Prometheus metrics (text format 0.0.4).

Nothing is counted while requests are served: a scrape folds in what has ended since the one before, so that
each figure is one of the log.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from workbench.simulator.log import RequestRecord

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)  # seconds

Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self._sum += seconds

    def samples(self, labels: Labels) -> Iterator[tuple[str, Labels, float]]:
        bounds = [*map(str, _BOUNDS), "+Inf"]
        for bound, count in zip(bounds, accumulate(self._counts), strict=True):
            yield "_bucket", (*labels, ("le", bound)), count
        yield "_sum", labels, round(self._sum, 9)
        yield "_count", labels, sum(self._counts)


class Metrics:
    """Counts what has ended."""

    def __init__(self) -> None:
        self._requests: Counter[Labels] = Counter()
        self._tokens: Counter[Labels] = Counter()
        self._ttft: defaultdict[Labels, _Histogram] = defaultdict(_Histogram)
        self._duration: defaultdict[Labels, _Histogram] = defaultdict(_Histogram)

    def add(self, record: RequestRecord) -> None:
        """Count a request that has ended."""
        model = _model(record)
        status = "none" if record.status is None else str(record.status)
        self._requests[*model, ("status", status), ("outcome", record.outcome)] += 1
        self._tokens[*model, ("direction", "input")] += record.input_tokens
        self._tokens[*model, ("direction", "output")] += record.output_tokens
        self._duration[model].observe(record.duration)
        if record.first_token is not None:
            self._ttft[model].observe(record.first_token - record.arrival)

    def page(self, in_flight: Iterable[RequestRecord]) -> str:
        """The figures, with those requests as the ones that have not ended yet."""
        waiting: Counter[Labels] = Counter()
        present: Counter[Labels] = Counter()
        for record in in_flight:
            present[_model(record)] += 1
            waiting[_model(record)] += record.started is None
        return "".join(
            (
                _family("requests_total", "counter", "Requests that have ended.", self._requests),
                _family("tokens_total", "counter", "Tokens of prompts and of answers.", self._tokens),
                _family("requests_in_flight", "gauge", "Requests that are there, queued or served.", present),
                _family("requests_queued", "gauge", "Requests that wait for a place.", waiting),
                _family("ttft_seconds", "histogram", "From arrival to the first token.", self._ttft),
                _family("duration_seconds", "histogram", "From arrival to the end.", self._duration),
            )
        )


def _model(record: RequestRecord) -> Labels:
    return ("provider", record.provider), ("model", record.model or "none")


def _family(name: str, kind: str, text: str, series: Mapping[Labels, float | _Histogram]) -> str:
    name = f"workbench_{name}"
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in sorted(series.items(), key=lambda item: item[0]):
        samples = value.samples(labels) if isinstance(value, _Histogram) else [("", labels, value)]
        lines += [f"{name}{suffix}{{{_text(of)}}} {number}" for suffix, of, number in samples]
    return "\n".join([*lines, ""])


def _text(labels: Labels) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

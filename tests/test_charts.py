"""Charts: the same data give the same picture and the same words, changed data others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.text import Text

from workbench.charts import (
    Chart,
    arrivals,
    curves,
    ecdf,
    in_flight,
    loop_lag,
    spending,
    stages,
    timeline,
    waterfall,
)
from workbench.clock import run
from workbench.fanout import FanOut, fan_out
from workbench.ledger import Ledger
from workbench.limiter import RateLimiter
from workbench.messages import Completion, Usage
from workbench.prices import Price, Prices
from workbench.profiling import Block, LoopLag
from workbench.simulator import Faults, RateLimits, RequestLog, RequestRecord, Simulator
from workbench.streams import StreamMetrics
from workbench.tracing import Trace, recording, span


def record(
    number: int, arrival: float, started: float | None, ended: float, outcome: Any = "ok"
) -> RequestRecord:
    return RequestRecord(
        number=number,
        arrival=arrival,
        provider="openai",
        route="POST /v1/chat/completions",
        model="m",
        stream=False,
        started=started,
        first_token=None,
        tokens=(),
        ended=ended,
        status=200,
        outcome=outcome,
        error=None,
        input_tokens=1,
        output_tokens=1,
        request_id=f"r{number}",
    )


LOG = RequestLog(
    [
        record(1, 10.0, 10.0, 12.0),
        record(2, 10.0, 12.0, 15.0),  # two seconds in the queue
        record(3, 11.0, None, 11.02, "rejected"),
        record(4, 11.5, None, 13.0, "cancelled"),  # in the queue
        record(5, 12.0, 12.0, 12.5, "broken"),
        record(6, 12.0, None, 12.02, "failed"),
    ]
)


async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    if seconds == 3:
        raise ValueError
    return seconds


def fanned(durations: Iterable[float], limit: int = 2, rate: RateLimiter | None = None) -> FanOut[float]:
    return run(lambda: fan_out(wait, durations, limit=limit, rate=rate, on_error="return"))


def traced(*, slower: float = 0.0) -> Trace:
    async def attempt(item: int) -> None:
        with span(f"chat {item}"):
            await asyncio.sleep(1 + slower)
            if item == 1:
                raise TimeoutError

    async def main() -> None:
        with span("answer"):
            with span("retrieve"):
                await asyncio.sleep(0.25)
            await fan_out(attempt, range(2), limit=2, on_error="return")

    with recording() as trace:
        run(main)
    return trace


def many(count: int) -> RequestLog:
    """A log with everything in it."""
    faults = Faults(error_rate=0.1, reset_rate=0.1)
    simulator = Simulator(seed=1, slots=8, limits=RateLimits(requests=count * 0.7), faults=faults)
    client = simulator.openai(max_retries=0)

    async def call(item: int) -> object:
        return await client.chat.completions.create(
            model="gpt-5.4-mini",
            messages=[{"role": "user", "content": f"question {item}"}],
            timeout=1.5 if item % 7 == 3 else 60,
        )

    run(lambda: fan_out(call, range(count), limit=20, on_error="return"))
    return simulator.log


# -- the digest ----------------------------------------------------------------------------------------


def test_the_digest_of_a_log() -> None:
    """It counts the outcomes in a fixed order, and the provider's queue belongs to a call's time."""
    text = (
        "6 calls (2 ok, 1 rejected, 1 failed, 1 broken, 1 cancelled) in 5.00 s, "
        "at most 4 in flight, p50 1.00 s, max 5.00 s"
    )
    assert repr(timeline(LOG)) == f"timeline: {text}"
    assert repr(in_flight(LOG)) == f"in flight: {text}"


def test_the_digest_of_a_fan_out() -> None:
    """What the client's own limiter holds back is not in flight, and not in a call's time."""
    result = fanned([1.0, 1.0, 3.0, 1.0], limit=4, rate=RateLimiter(rpm=30, burst=2 / 30))
    assert repr(timeline(result)) == (
        "timeline: 4 calls (3 ok, 1 error) in 5.00 s, at most 2 in flight, p50 1.00 s, max 3.00 s"
    )


def test_in_flight_is_what_the_log_says() -> None:
    """The chart's greatest number is the log's own."""
    log = many(60)
    assert set(log.outcomes()) >= {"ok", "rejected", "failed", "broken", "cancelled"}
    assert f"at most {log.peak_in_flight()} in flight" in repr(in_flight(log))


def test_several_runs_by_name() -> None:
    """Each run has its line, in the given order."""
    chart = timeline({"slow": fanned([2.0]), "fast": fanned([0.5])}, title="Two")
    assert repr(chart) == (
        "timeline · slow: 1 call (1 ok) in 2.00 s, at most 1 in flight, p50 2.00 s, max 2.00 s\n"
        "timeline · fast: 1 call (1 ok) in 0.500 s, at most 1 in flight, p50 0.500 s, max 0.500 s"
    )


def test_the_digest_of_a_waterfall() -> None:
    """Each span stands under the one that it is in, with its start, its duration and its error."""
    assert repr(waterfall(traced())).splitlines() == [
        "waterfall: 6 spans",
        "    0.000 answer 1.250 s, self 0.000 s",
        "    0.000   retrieve 0.250 s",
        "    0.250   call 1.000 s, self 0.000 s",
        "    0.250     chat 0 1.000 s",
        "    0.250   call 1.000 s, self 0.000 s ✗ TimeoutError",
        "    0.250     chat 1 1.000 s ✗ TimeoutError",
        "critical path: chat 0 1.000 s, retrieve 0.250 s",
    ]


def test_the_digest_of_curves() -> None:
    """Each line of each table gives some of its points, the first and the last included."""
    index = pd.Index(range(0, 101, 10), name="seconds")
    frame = pd.DataFrame({"sent": range(11), "ok": [5.0] * 11}, index=index)
    published = pd.DataFrame({"sent": [3.0]}, index=[30])
    chart = curves({"a run": frame}, published=published, shaded=(20, 30))
    assert chart.digest == (
        "a run · sent: 0 at 0, 2 at 20, 4 at 40, 6 at 60, 8 at 80, 10 at 100\n"
        "a run · ok: 5 at 0, 5 at 20, 5 at 40, 5 at 60, 5 at 80, 5 at 100"
    )
    (axis,) = chart.figure.axes
    assert [len(np.asarray(line.get_xdata())) for line in axis.get_lines()] == [11, 1, 11]
    assert curves(frame, log=True).figure.axes[0].get_yscale() == "log"
    assert curves(frame.iloc[:0]).digest == " · sent: no data\n · ok: no data"


def test_a_long_waterfall_says_what_it_leaves_out() -> None:
    """Beyond 60 spans it sums up; spans that still run are left out."""
    with recording() as trace:
        run(lambda: fan_out(wait, [1.0] * 100, limit=10))
        with span("open"):
            lines = repr(waterfall(trace)).splitlines()
    assert len(lines) == 62
    assert lines[0] == "waterfall: 100 spans"
    assert lines[-1] == "… and 40 more, 40.000 s in all"


@given(st.floats(1e-3, 1e4))
@settings(max_examples=25)
def test_five_per_cent_show(seconds: float) -> None:
    """A latency that changes by 5 % changes the digest, whatever its size; rounding noise does not."""
    texts = [
        repr(timeline(RequestLog([record(1, 0.0, 0.0, duration)])))
        for duration in (round(seconds, 9), round(seconds * 1.05, 9))
    ]
    assert texts[0] != texts[1]


def test_a_slower_span_shows() -> None:
    """A span that takes 5 % longer changes the waterfall's digest."""
    assert repr(waterfall(traced())) != repr(waterfall(traced(slower=0.05)))


def test_a_trace_of_many_roots_has_no_one_path() -> None:
    """The critical path is said of one request; over many, stages say it."""
    with recording() as trace:
        run(lambda: fan_out(wait, [1.0, 2.0], limit=2))
        with span("a"), span("b"):
            pass
    assert "critical path" not in repr(waterfall(trace))


def test_the_digest_of_stages() -> None:
    """One line a stage, in the order of the pipeline; the shares are what requests waited for, and add up."""

    async def one(seconds: float) -> None:
        with span("answer"):
            await asyncio.gather(stage("vector", 1), stage("lexical", 0.5))
            await stage("generate", seconds)

    async def stage(name: str, seconds: float) -> None:
        with span(name):
            await asyncio.sleep(seconds)

    async def main() -> None:
        for seconds in range(1, 10):
            await one(seconds)

    with recording() as trace:
        run(main)
        with span("open"):
            assert repr(stages(trace)).splitlines() == [
                "stage                     count      p50      p95      p99   share",
                "answer                        9    6.000    9.600    9.920    0.0%",
                "vector                        9    1.000    1.000    1.000   16.7%",
                "lexical                       9    0.500    0.500    0.500    0.0%",
                "generate                      9    5.000    8.600    8.920   83.3%",
            ]


def test_the_digest_of_an_ecdf() -> None:
    """It gives the percentiles of the calls' times, which are those that the timeline has."""
    assert repr(ecdf({"log": LOG, "none": LOG[:0]})).splitlines() == [
        "ecdf · log: 6 calls, p50 1.00 s, p95 4.25 s, p99 4.85 s",
        "ecdf · none: 0 calls",
    ]


def test_the_digest_of_spending() -> None:
    """The most expensive come first; what is not shown is said in the chart, and the total counts it."""
    chart = spending(spent(20))
    first, second, *_ = repr(chart).splitlines()
    assert first == "spending by caller: 20 calls, $0.1929"
    assert "1 calls     19000 in (1900 cached)      100 out  $0.0183   9.5%" in second
    assert chart.figure.axes[0].get_xlabel() == "tokens; 8 more are not shown"


def test_the_digest_of_loop_lag() -> None:
    """Each block is named with its place and its length."""
    assert repr(loop_lag(lagging(Block(0.1, 0.5, "parse", "a.py:7"), Block(2, 0.1)))).splitlines() == [
        "loop lag: 2 blocks, worst 0.500 s",
        "    0.100 parse (a.py:7) 0.500 s",
        "    2.000 (unseen) () 0.100 s",
    ]


def luminance(color: str) -> float:
    """The relative luminance of WCAG 2.2."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("page", "least"), [("#ffffff", 4.5), ("#111111", 4.0)], ids=["light", "dark"])
@pytest.mark.parametrize("which", ["names", "flight", "waterfall", "stages", "ecdf", "spending", "lag"])
def test_all_texts_can_be_read_on_either_page(which: str, page: str, least: float) -> None:
    """Every text contrasts with JupyterLab's light page and with its dark one; nothing is behind it."""
    figure = CHARTS[which]().figure
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    for text in texts:
        bright = sorted((luminance(to_hex(text.get_color())), luminance(page)))
        assert (bright[1] + 0.05) / (bright[0] + 0.05) >= least, text
    backgrounds = [figure.get_facecolor(), *(axis.get_facecolor() for axis in figure.axes)]
    assert {to_hex(color, keep_alpha=True)[7:] for color in backgrounds} == {"00"}


# -- the picture ---------------------------------------------------------------------------------------

PICTURES = """
import hashlib, tests.test_charts as t
log = t.many(40)
charts = [t.timeline(log), t.in_flight(log, bound=20), t.waterfall(t.traced(), title="x")]
print([(hashlib.sha256(c.png()).hexdigest(), repr(c)) for c in charts])
"""


def test_the_same_picture_in_any_process() -> None:
    """Picture and digest are the same, byte for byte, in processes with different hash seeds."""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PICTURES],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            cwd=Path(__file__).parent.parent,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_drawing_twice_gives_the_same_bytes() -> None:
    """A chart can be shown again; its mime bundle has a PNG and the digest."""
    chart = timeline(LOG)
    bundle = chart._repr_mimebundle_()
    assert bundle["image/png"] == chart.png()
    assert chart.png().startswith(b"\x89PNG")
    assert bundle["text/plain"] == repr(chart)


LONG = "a very long name of a run that somebody was glad to give"
CHARTS: dict[str, Callable[[], Chart]] = {
    "log": lambda: timeline(LOG, title=LONG),
    "300": lambda: timeline(many(300)),
    "names": lambda: timeline({"one": LOG, LONG: fanned([1.0] * 5), "none": LOG[:0]}, title="x"),
    "single": lambda: timeline(LOG[:1]),
    "empty": lambda: timeline(LOG[:0], title="nothing"),
    "flight": lambda: in_flight({"a": LOG, LONG: fanned([1.0] * 9)}, bound=3, title="x"),
    "flights": lambda: in_flight({f"k = {k}": fanned([1.0] * 9, limit=k) for k in range(1, 8)}),
    "flight, empty": lambda: in_flight(LOG[:0]),
    "waterfall": lambda: waterfall(traced(), title="x"),
    "waterfall, empty": lambda: waterfall([]),
    "waterfall, names": lambda: waterfall(named(LONG * 3)),
    "stages": lambda: stages(traced(), title=LONG),
    "stages, empty": lambda: stages(Trace()),
    "stages, names": lambda: stages(named(LONG * 3)),
    "ecdf": lambda: ecdf({"a": LOG, LONG: many(60), "none": LOG[:0]}, title="x"),
    "ecdf, empty": lambda: ecdf(LOG[:0]),
    "spending": lambda: spending(spent(20), title=LONG),
    "spending, empty": lambda: spending(Ledger()),
    "lag": lambda: loop_lag(lagging(Block(0.1, 0.5, LONG, "a.py:1"), Block(2, 0.1)), title="x"),
    "lag, empty": lambda: loop_lag(lagging()),
}


def spent(callers: int) -> Ledger:
    ledger = Ledger(prices=Prices([Price(input=1, output=10)]))
    for caller in range(callers):
        tokens = Usage(input_tokens=1000 * caller, cached_tokens=100 * caller, output_tokens=100)
        answer = Completion(id="r", model="m", usage=tokens)
        ledger.add(answer, caller=f"{LONG[: caller + 2]} ${caller}" if caller else "")
    return ledger


def lagging(*blocks: Block) -> LoopLag:
    lag = LoopLag()
    lag.blocks += blocks
    lag.samples += [(block.at, block.seconds) for block in blocks]
    return lag


def named(name: str) -> Trace:
    with recording() as trace, span(name), span(name), span("$5 and $6"):
        pass
    return trace


@pytest.mark.parametrize("which", CHARTS)
def test_nothing_is_clipped_and_no_legend_covers_data(which: str) -> None:
    """All that is drawn lies inside the picture; a legend lies above its axes."""
    chart = CHARTS[which]()
    assert chart.png()
    drawn, (width, height) = chart.figure.get_tightbbox(), chart.figure.get_size_inches()
    assert -0.01 <= drawn.x0 <= drawn.x1 <= width + 0.01
    assert -0.01 <= drawn.y0 <= drawn.y1 <= height + 0.01
    for axis in chart.figure.axes:
        if legend := axis.get_legend():
            assert legend.get_window_extent().y0 >= axis.get_window_extent().y1 - 1


def test_the_names_of_spans_stand_beside_the_bars() -> None:
    """No name reaches into the chart, and no duration, whatever their length."""
    figure = CHARTS["waterfall, names"]().figure
    figure.draw_without_rendering()
    (axis,) = figure.axes
    (right,) = axis.child_axes
    inside = axis.get_window_extent()
    assert all(label.get_window_extent().x1 <= inside.x0 for label in axis.get_yticklabels())
    assert all(label.get_window_extent().x0 >= inside.x1 for label in right.get_yticklabels())


def test_who_gives_up_in_the_queue_was_never_served() -> None:
    """All of that call's bar is pale."""
    (axis,) = timeline(LOG).figure.axes
    queued = {round(p.get_y() + 0.4): p.get_width() for p in axis.containers[0]}
    assert queued == pytest.approx({1: 2.0, 3: 1.5})


def test_each_run_is_drawn() -> None:
    """However many runs there are, each has a line and a place in the legend."""
    (axis,) = CHARTS["flights"]().figure.axes
    legend = axis.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [f"k = {k}" for k in range(1, 8)]
    assert len({(line.get_color(), line.get_linestyle()) for line in axis.lines}) == 7


def test_a_dollar_is_no_formula() -> None:
    """Names are shown as they are written."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chart = timeline({"costs $5 and $6": LOG}, title="from $1 to $2")
        assert chart.png()
    (axis,) = chart.figure.axes
    assert axis.get_title(loc="left") == r"costs \$5 and \$6"


def test_what_is_too_short_to_see_is_seen() -> None:
    """A refusal of 20 ms in an hour of calls is still drawn some pixels wide."""
    log = RequestLog([record(1, 0, 0, 3600), record(2, 5, None, 5.02, "rejected")])
    (axis,) = timeline(log).figure.axes
    widths = [patch.get_width() for container in axis.containers for patch in container]
    assert min(widths) == pytest.approx(3600 * 0.004)


def test_data_frames_may_come_from_elsewhere() -> None:
    """Whatever has such a `to_frame()` can be drawn."""

    class Other:
        def to_frame(self) -> pd.DataFrame:
            return LOG.to_frame()

    assert repr(timeline(Other())) == repr(timeline(LOG))


def test_arrivals_says_how_many_tokens_came_and_when() -> None:
    """One line for each stream, by the seconds since it was asked for; the same streams, the same bytes."""
    streams = {
        "streamed": StreamMetrics(10.0, (10.5, 11.0, 12.25), 12.25, 3),
        "joined, $5": StreamMetrics(0.0, (2.25, 2.25, 2.25), 2.25, 3),
        "silent": StreamMetrics(0.0, (), 1.0, 0),
    }
    chart = arrivals(streams, title="When")
    assert repr(chart).splitlines() == [
        "arrivals · streamed: 3 tokens, the first after 0.500 s, the last after 2.25 s",
        "arrivals · joined, $5: 3 tokens, the first after 2.25 s, the last after 2.25 s",
        "arrivals · silent: 0 tokens",
    ]
    (axis,) = chart.figure.axes
    drawn = [[np.asarray(values).tolist() for values in line.get_data()] for line in axis.lines]
    assert drawn[0] == [[0.0, 0.5, 1.0, 2.25], [0.0, 1.0, 2.0, 3.0]]
    assert drawn[2] == [[0.0], [0.0]]
    assert chart.png() == arrivals(streams, title="When").png()


def test_arrivals_of_nothing() -> None:
    """Where no token came, or nothing streamed, the chart says so."""
    assert repr(arrivals({})) == "arrivals: no streams"
    chart = arrivals({"silent": StreamMetrics(0.0, (), 1.0, 0)})
    assert "no tokens" in [text.get_text() for text in chart.figure.axes[0].texts]
    assert chart.png()

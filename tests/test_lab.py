"""The breaker's lab without a page: what its settings do, and that it comes to the same on every clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import workbench as wb
from workbench.errors import ConfigurationError

OUTAGE: dict[float, dict[str, float | str]] = {20: {"failure_rate": 1}, 60: {"failure_rate": 0}}


def played(seconds: float = 100, **settings: Any) -> wb.BreakerLab:
    lab = wb.BreakerLab(seed=5, **{"changes": OUTAGE, "failure_rate": 0, **settings})
    wb.run(lambda: lab.run(seconds))
    return lab


def opened(lab: wb.BreakerLab) -> int:
    return repr(lab).count(": open, ")


def test_a_run_is_the_same_on_every_clock() -> None:
    """Virtual time, the wall clock, and a second run give the same digest and the same picture."""
    lab = played(40)
    first = lab.chart()
    asyncio.run(lab.run(40))
    assert repr(lab) == first.digest
    assert lab.chart().png() == first.png()


def test_a_breaker_saves_requests_and_retries_make_them() -> None:
    """In one outage: with a breaker few requests, without any policy one for each call, with retries more."""
    sent = {}
    for policy in ("breaker", "no policy", "retry"):
        frame = played(policy=policy).to_frame()
        outage = frame[(frame.index > 22) & (frame.index <= 60)]
        sent[policy] = outage["requests"].sum()
        assert (outage["refused"].sum() > 0) == (policy == "breaker")
    assert sent["breaker"] < 0.2 * sent["no policy"]
    assert sent["no policy"] * 2 < sent["retry"]


def test_each_setting_of_the_breaker_counts() -> None:
    """A longer open time opens more seldom, a higher threshold never; latency past the timeout opens."""
    assert opened(played(open_time=5)) > opened(played(open_time=30)) == 2
    half = {20.0: {"failure_rate": 0.5}}
    assert opened(played(changes=half, threshold=0.9, window=100)) == 0
    assert opened(played(changes=half, threshold=0.3, window=100)) > 0
    assert opened(played(changes={}, latency=8)) > 0


def test_a_change_makes_a_new_breaker_whose_predecessor_is_not_heard() -> None:
    """After a change of the threshold the breaker is closed, and calls that are under way do not open it."""
    changes = {**OUTAGE, 25: {"threshold": 0.6}}
    frame = played(changes=changes).to_frame()
    assert frame["state"][24.75] == "open"
    assert frame["state"][25.25] == "closed"


def test_a_short_half_open_phase_is_seen() -> None:
    """Probes that fail within a slice are a slice in the table, as they are a line in the digest."""
    lab = played(seconds=60, rate=100.0, latency=0.1)
    probed = lab.to_frame()["state"] == "half-open"
    assert (probed & ~probed.shift(fill_value=False)).sum() == repr(lab).count("open time over") == 3


def test_calls_are_counted_once() -> None:
    """Each call that has begun is answered, failed, refused, or still in flight."""
    lab = played(seconds=30)
    sums = lab.to_frame()[["ok", "failed", "refused", "requests"]].sum()
    flying = lab.to_frame()["in flight"].iloc[-1]
    assert sums["requests"] == sums["ok"] + sums["failed"] + flying


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"latency": 99}, "latency is a number from 0.1 to 8, got 99"),
        ({"window": float("nan")}, "window is a number from 5 to 200, got nan"),
        ({"policy": "hope"}, "policy is one of 'no policy'.* got 'hope'"),
        ({"colour": 1}, "no setting 'colour'; there are failure_rate, latency"),
        ({"rate": 0}, "rate is a number of calls a second, at most 1000, got 0"),
        ({"changes": {3: {"open_time": "long"}}}, "open_time is a number from 1 to 60, got 'long'"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], said: str) -> None:
    """A wrong setting is refused at once, with its value and what would be right."""
    with pytest.raises(ConfigurationError, match=said):
        wb.BreakerLab(**settings)


def test_a_run_of_no_time() -> None:
    """A run has a positive length, and a lab that has not run says so."""
    lab = wb.BreakerLab()
    with pytest.raises(ConfigurationError, match="positive number, got 0"):
        wb.run(lambda: lab.run(0))
    assert "0 ok" in repr(lab)
    assert lab.chart().png()


def test_one_run_at_a_time() -> None:
    """A lab that runs refuses another run, and goes on."""

    async def twice() -> None:
        lab = wb.BreakerLab()
        first = asyncio.ensure_future(lab.run(5))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="runs already"):
            await lab.run(5)
        await first
        assert len(lab.to_frame()) == 20

    wb.run(twice)

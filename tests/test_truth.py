"""Published results, reproduced; and that a wrong formula does not reproduce them."""

from __future__ import annotations

from typing import Any

import pytest

from workbench import cli
from workbench.experiments import truth
from workbench.resilience.backoff import Backoff
from workbench.resilience.budget import RetryBudget
from workbench.resilience.throttle import AdaptiveThrottle


@pytest.mark.parametrize("section", list(truth.published()))
def test_published_results(section: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each published figure is reproduced within its tolerance."""
    assert truth.check(fast=True, sections=(section,)), capsys.readouterr().out


@pytest.mark.parametrize(
    ("strategy", "wrong"),
    [
        ("full", Backoff(0.01, cap=2, jitter=0.9)),
        ("full", Backoff(0.005, cap=2)),
        ("equal", Backoff(0.01, cap=2, jitter=0.6)),
        ("exponential", Backoff(0.01, cap=2, factor=1.5, jitter="none")),
        ("decorrelated", Backoff(0.01, cap=2, jitter="decorrelated")),
        ("none", Backoff(0.005, factor=1)),
    ],
)
def test_a_wrong_backoff_is_found(strategy: str, wrong: Backoff, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jitter of the wrong range, or another base or factor, turns rows red."""
    monkeypatch.setattr(truth, "STRATEGIES", {strategy: wrong})
    assert not all(row.ok for row in truth.contention(truth.published()["contention"], fast=True))


def test_a_wrong_budget_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget that forgets what a retry costs is no bound, and its rows say so."""
    monkeypatch.setattr(RetryBudget, "try_retry", lambda self, now, timeout=False: 0.0)
    data: dict[str, Any] = truth.published()["retries"] | {"success": {}}
    data["bucket"]["failure"] = [0.3]
    assert [row.name for row in truth.retries(data, fast=True) if not row.ok] == [
        "fails with p = 0.3: load with a retry budget"
    ]


def test_a_wrong_throttle_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A throttle with the square of its formula lets too much through."""
    refusal = AdaptiveThrottle.refusal
    monkeypatch.setattr(AdaptiveThrottle, "refusal", lambda self, now: refusal(self, now) ** 2)
    data: dict[str, Any] = truth.published()["throttling"] | {"sent": {"2": 20.2}}
    assert [row.ok for row in truth.throttling(data, fast=True)] == [False]


def test_the_command_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`workbench truth` prints every row with its verdict, and exits 1 if one is off."""
    data = {"contention": truth.published()["contention"]}
    monkeypatch.setattr(truth, "published", lambda: data)
    monkeypatch.setattr(truth, "STRATEGIES", {"full": truth.STRATEGIES["full"]})
    assert cli.main(["truth", "--fast"]) == 0
    assert "8 of 8 figures agree" in capsys.readouterr().out
    data["contention"]["writes"]["10"]["full"] = 99
    assert cli.main(["truth", "--fast"]) == 1
    assert "99" in next(line for line in capsys.readouterr().out.splitlines() if line.endswith("OFF"))


def test_no_number_is_not_ok() -> None:
    """A row whose figure is no number is off."""
    assert not truth.Row("nothing", float("nan"), 1.0, 10.0).ok

"""Sweeps: the same result on any executor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

import workbench as wb
from workbench.errors import ConfigurationError
from workbench.experiments.sweep import half_width


def experiment(rate: float, attempts: int, seed: int) -> object:
    scenario = wb.Scenario(
        arrivals=wb.Arrivals.poisson(rate),
        service=wb.Service(failure_rate=0.5),
        client=lambda: wb.Resilient(retry=wb.RetryPolicy(attempts=attempts)),
        seconds=5,
    )
    return wb.play(scenario, seed).metrics()


GRID = {"rate": [5, 20], "attempts": [1, 3]}


@contextmanager
def dask() -> Iterator[Executor]:
    distributed = pytest.importorskip("distributed")
    here = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": None}
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, **here)
    with cluster, distributed.Client(cluster) as client:
        yield client.get_executor()


@pytest.fixture(scope="module")
def on_threads() -> str:
    with ThreadPoolExecutor(2) as executor:
        return wb.sweep(experiment, GRID, 4, executor=executor).to_csv()


def test_on_loky(on_threads: str) -> None:
    """On processes, which are the default, the result is that of threads, to the last digit."""
    assert wb.sweep(experiment, GRID, 4).to_csv() == on_threads


@pytest.mark.filterwarnings("ignore")  # Dask's own, while it starts and ends
def test_on_dask(on_threads: str) -> None:
    """On a Dask cluster, by its client's executor, the result is the same."""
    with dask() as executor:
        assert wb.sweep(experiment, GRID, 4, executor=executor).to_csv() == on_threads


def test_what_a_sweep_returns() -> None:
    """A row for each point in the grid's order, with each figure's mean and its interval."""
    with ThreadPoolExecutor(1) as executor:
        frame = wb.sweep(lambda x, seed: {"y": x + seed}, {"x": [10, 20]}, [1, 2, 3], executor=executor)
    assert frame["x"].tolist() == [10, 20]
    assert frame["y"].tolist() == [12, 22]
    assert frame["±y"].tolist() == pytest.approx([2.484, 2.484], rel=0.04)  # t(0.975; 2) / sqrt(3)


def test_the_interval_is_students() -> None:
    """Half-widths are those of Student's t, as tables have it."""
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert half_width(values) == pytest.approx(2.5706 * 1.8708 / 6**0.5, rel=2e-3)
    assert half_width([float(i) for i in range(21)], 0.99) == pytest.approx(
        2.8453 * 6.2048 / 21**0.5, rel=1e-3
    )


def test_no_interval() -> None:
    """A single value has no interval, nor has a figure that some runs could not give."""
    assert math.isnan(half_width([1.0]))
    assert math.isnan(half_width([1.0, math.nan, 2.0]))


def test_an_experiment_that_fails() -> None:
    """An experiment's own error comes out of the sweep as it is."""
    with ThreadPoolExecutor(1) as executor, pytest.raises(ZeroDivisionError):
        wb.sweep(lambda x, seed: {"y": 1 / x}, {"x": [0, 1]}, 2, executor=executor)
    with pytest.raises(ConfigurationError, match="at least one seed"):
        wb.sweep(experiment, GRID, 0)

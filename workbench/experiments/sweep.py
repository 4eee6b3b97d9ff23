"""An experiment on a grid of settings, each from many seeds, on as many processes as there are.

Whatever executor does the work, the result is the same: a piece depends on its settings and seed alone.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from typing import Any

import cloudpickle
import pandas as pd

from workbench.errors import ConfigurationError

__all__ = ["half_width", "sweep"]


def sweep(
    experiment: Callable[..., Any],
    grid: Mapping[str, Iterable[Any]],
    seeds: int | Sequence[int] = 10,
    *,
    confidence: float = 0.95,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Run an experiment at each point of a grid, from each seed.

    Args:
        experiment: called with a value of each of the grid's names and with `seed`; it returns its figures by
            name, as a mapping or a named tuple.
        grid: the values of each setting; all their combinations are run.
        seeds: which, or how many, from 0.
        confidence: of the intervals: the mean of many runs is in it with that probability.
        executor: what does the work; by default, a process for each core (loky). `Client.get_executor()` of
            Dask is one, too.
        progress: whether a bar is shown; by default, in a terminal.

    Returns:
        for each point, in the grid's order: its settings, and each figure's mean, with the half-width of its
        confidence interval in the column ``"±" + name``.

    Raises:
        ConfigurationError: there are no seeds.
    """
    from loky import get_reusable_executor
    from tqdm import tqdm

    which = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not which:
        raise ConfigurationError(f"a sweep needs at least one seed, got {seeds!r}")
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    pickled = cloudpickle.dumps(experiment)  # also what a process pool's own pickle cannot: lambdas
    pool = executor or get_reusable_executor()
    futures = [pool.submit(_figures, pickled, {**point, "seed": seed}) for point in points for seed in which]
    try:
        disable = None if progress is None else not progress
        for future in tqdm(as_completed(futures), total=len(futures), disable=disable):
            future.result()
    finally:
        for future in futures:
            future.cancel()
    results = [future.result() for future in futures]
    runs = [results[start : start + len(which)] for start in range(0, len(results), len(which))]
    return pd.DataFrame(
        [point | _summary(some, confidence) for point, some in zip(points, runs, strict=True)]
    )


def half_width(values: Sequence[float], confidence: float = 0.95) -> float:
    """Half of a mean's confidence interval, by Student's t; NaN for a single value, or with NaN among them.

    The quantile of t is the expansion 26.7.5 of Abramowitz and Stegun: right to 0.2 % from 6 values on,
    3 % too small with 3.
    """
    if len(values) < 2 or any(map(math.isnan, values)):
        return math.nan
    z, free = statistics.NormalDist().inv_cdf((1 + confidence) / 2), len(values) - 1
    t = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    return t * statistics.stdev(values) / math.sqrt(len(values))


def _figures(pickled: bytes, settings: Mapping[str, Any]) -> dict[str, float]:
    result = cloudpickle.loads(pickled)(**settings)
    return dict(result._asdict() if hasattr(result, "_asdict") else result)


def _summary(runs: Sequence[Mapping[str, float]], confidence: float) -> dict[str, float]:
    summary = {}
    for name in runs[0]:
        values = [float(run[name]) for run in runs]
        summary[name] = statistics.fmean(values)
        summary[f"±{name}"] = half_width(values, confidence)
    return summary

"""Writers of one row under optimistic concurrency control: the model of the AWS Architecture Blog's figure.

Marc Brooker, "Exponential Backoff and Jitter" (2015), and aws-samples/aws-arch-backoff-simulator: all writers
start at once; each reads the row's version, then writes; a write fails if another has succeeded since; then
the writer waits as its backoff says, and reads again, until it has succeeded once.

All trials run abreast, one success at a time.  The earliest write succeeds, because nobody has changed the
row since it was read; whoever has read before that is going to fail, and its next read comes after it.
"""

from __future__ import annotations

import itertools
import random

import numpy as np
import pandas as pd

from workbench.resilience.backoff import Backoff

__all__ = ["contend"]


def contend(
    writers: int,
    backoff: Backoff,
    *,
    trials: int = 100,
    seed: int = 0,
    hop: tuple[float, float] = (0.01, 0.002),
) -> pd.DataFrame:
    """Let `writers` write the same row once each, again and again.

    Args:
        writers: how many; all begin at 0.
        backoff: what each waits after a failed write, in seconds.
        trials: how often.
        seed: of the hops and of the jitter.
        hop: mean and standard deviation, in seconds, of a message's way between a writer and the row; there
            are four in each try, each |Normal(mean, deviation)|.

    Returns:
        for each trial: `seconds` until the last answer was there, and `writes` that were tried.
    """
    rng, generator = random.Random(seed), np.random.default_rng(seed)

    def hops(number: int, size: int) -> np.ndarray:
        way: np.ndarray = np.abs(generator.normal(*hop, (number, size))).sum(axis=0)
        return way

    size = trials * writers
    read = hops(1, size)
    write = read + hops(2, size)
    failures, waits = np.zeros(size, dtype=np.int64), np.full(size, None)
    ended = np.zeros(trials)
    for _ in range(writers):
        winner = write.reshape(trials, writers).argmin(axis=1) + np.arange(0, size, writers)
        changed = write[winner]
        read[winner] = write[winner] = np.inf
        np.maximum(ended, changed + hops(1, trials), out=ended)
        late = np.flatnonzero(read.reshape(trials, writers) < changed[:, None])
        failures[late] += 1
        wait = list(map(backoff.wait, failures[late].tolist(), itertools.repeat(rng), waits[late].tolist()))
        waits[late] = wait
        read[late] = asked = write[late] + hops(2, len(late)) + wait
        write[late] = asked + hops(2, len(late))
    return pd.DataFrame({"seconds": ended, "writes": failures.reshape(trials, writers).sum(axis=1) + writers})

"""Many simulated clients, each with the very policies that serve live calls, against one service.

``Scenario`` says as data who calls what; ``play`` plays it once from a seed; ``sweep`` runs a grid of them
from many seeds; ``truth`` holds all of it against published results.
"""

from workbench.experiments.arrivals import Arrivals
from workbench.experiments.contention import contend
from workbench.experiments.scenario import Run, Scenario, play
from workbench.experiments.service import Exponential, Lognormal, Service
from workbench.experiments.sweep import sweep

__all__ = [
    "Arrivals",
    "Exponential",
    "Lognormal",
    "Run",
    "Scenario",
    "Service",
    "contend",
    "play",
    "sweep",
]

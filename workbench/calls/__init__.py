"""Calls under policies: the machines of :mod:`workbench.resilience`, applied to what really waits and sends.

resilient.py   one call: retry → hedge → limit → breaker → the call itself
provider.py    the same around a provider, streams included
router.py      several providers as one, the healthy first
"""

from workbench.calls.provider import ResilientProvider
from workbench.calls.resilient import Resilient
from workbench.calls.router import Router

__all__ = ["Resilient", "ResilientProvider", "Router"]

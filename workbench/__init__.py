"""A workbench for LLM engineering: measure how production code calls LLM APIs, offline, in virtual time.

Names are imported when they are first used, so that ``import workbench`` loads no SDK and no plotting.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.background import Background as Background
    from workbench.calls import Resilient as Resilient
    from workbench.calls import Router as Router
    from workbench.cassettes import Cassette as Cassette
    from workbench.charts import Chart as Chart
    from workbench.charts import arrivals as arrivals
    from workbench.charts import curves as curves
    from workbench.charts import ecdf as ecdf
    from workbench.charts import in_flight as in_flight
    from workbench.charts import loop_lag as loop_lag
    from workbench.charts import spending as spending
    from workbench.charts import stages as stages
    from workbench.charts import timeline as timeline
    from workbench.charts import waterfall as waterfall
    from workbench.clock import DeadlockError as DeadlockError
    from workbench.clock import VirtualTimeLoop as VirtualTimeLoop
    from workbench.clock import deadline as deadline
    from workbench.clock import now as now
    from workbench.clock import run as run
    from workbench.experiments import Arrivals as Arrivals
    from workbench.experiments import Scenario as Scenario
    from workbench.experiments import Service as Service
    from workbench.experiments import play as play
    from workbench.experiments import sweep as sweep
    from workbench.fanout import FanOut as FanOut
    from workbench.fanout import fan_out as fan_out
    from workbench.ledger import Ledger as Ledger
    from workbench.limiter import RateLimiter as RateLimiter
    from workbench.messages import Completion as Completion
    from workbench.messages import Message as Message
    from workbench.messages import Reply as Reply
    from workbench.messages import Request as Request
    from workbench.messages import Tool as Tool
    from workbench.messages import ToolCall as ToolCall
    from workbench.messages import Usage as Usage
    from workbench.notebook import load_ipython_extension as load_ipython_extension
    from workbench.notebook import unload_ipython_extension as unload_ipython_extension
    from workbench.practice.desk import Practice as Practice
    from workbench.profiling import LoopLag as LoopLag
    from workbench.profiling import compare_profilers as compare_profilers
    from workbench.profiling import memory as memory
    from workbench.profiling import profile as profile
    from workbench.providers import AnthropicProvider as AnthropicProvider
    from workbench.providers import OpenAIProvider as OpenAIProvider
    from workbench.providers import OpenAIResponsesProvider as OpenAIResponsesProvider
    from workbench.providers import default_provider as default_provider
    from workbench.relay import serve_relay as serve_relay
    from workbench.resilience import Backoff as Backoff
    from workbench.resilience import CircuitBreaker as CircuitBreaker
    from workbench.resilience import Hedge as Hedge
    from workbench.resilience import RetryBudget as RetryBudget
    from workbench.resilience import RetryPolicy as RetryPolicy
    from workbench.simulator import Faults as Faults
    from workbench.simulator import FaultWindow as FaultWindow
    from workbench.simulator import Latency as Latency
    from workbench.simulator import ModelProfile as ModelProfile
    from workbench.simulator import Outage as Outage
    from workbench.simulator import RateLimits as RateLimits
    from workbench.simulator import RequestLog as RequestLog
    from workbench.simulator import Simulator as Simulator
    from workbench.streams import Metered as Metered
    from workbench.streams import StreamMetrics as StreamMetrics
    from workbench.tracing import recording as recording
    from workbench.tracing import span as span
    from workbench.widgets import StreamBoard as StreamBoard
    from workbench.widgets.lab import BreakerLab as BreakerLab

__version__ = "0.1.0"

_HOMES = {
    "background": ("Background",),
    "calls": ("Resilient", "Router"),
    "cassettes": ("Cassette",),
    "charts": (
        "Chart",
        "arrivals",
        "curves",
        "ecdf",
        "in_flight",
        "loop_lag",
        "spending",
        "stages",
        "timeline",
        "waterfall",
    ),
    "clock": ("DeadlockError", "VirtualTimeLoop", "deadline", "now", "run"),
    "experiments": ("Arrivals", "Scenario", "Service", "play", "sweep"),
    "fanout": ("FanOut", "fan_out"),
    "ledger": ("Ledger",),
    "limiter": ("RateLimiter",),
    "messages": ("Completion", "Message", "Reply", "Request", "Tool", "ToolCall", "Usage"),
    "notebook": ("load_ipython_extension", "unload_ipython_extension"),
    "profiling": ("LoopLag", "compare_profilers", "memory", "profile"),
    "practice.desk": ("Practice",),
    "providers": ("AnthropicProvider", "OpenAIProvider", "OpenAIResponsesProvider", "default_provider"),
    "relay": ("serve_relay",),
    "resilience": ("Backoff", "CircuitBreaker", "Hedge", "RetryBudget", "RetryPolicy"),
    "simulator": (
        "FaultWindow",
        "Faults",
        "Latency",
        "ModelProfile",
        "Outage",
        "RateLimits",
        "RequestLog",
        "Simulator",
    ),
    "streams": ("Metered", "StreamMetrics"),
    "tracing": ("recording", "span"),
    "widgets": ("StreamBoard",),
    "widgets.lab": ("BreakerLab",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"workbench.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]

"""Charts of what was recorded.  Each prints, as text, a digest of the data that it drew.

Notebook tests ignore pictures and compare text: so a figure that changes turns a test red.  A module holds
the charts of one kind of data; :mod:`workbench.charts.style` holds how they all look.
"""

from workbench.charts.calls import ecdf, in_flight, timeline
from workbench.charts.costs import loop_lag, spending
from workbench.charts.curves import curves
from workbench.charts.spans import stages, waterfall
from workbench.charts.streams import arrivals
from workbench.charts.style import Chart

__all__ = [
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
]

"""A clock in a notebook that counts down, also while the kernel is busy."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import anywidget
import traitlets

__all__ = ["Countdown"]

_SCRIPT = """
function render({ model, el }) {
  const show = () => {
    const left = Math.round(model.get("until") - Date.now() / 1000);
    const seconds = Math.abs(left) % 60, minutes = Math.floor(Math.abs(left) / 60);
    const time = `${minutes}:${String(seconds).padStart(2, "0")}`;
    el.textContent = `${model.get("label")}: ${left < 0 ? `over since ${time}` : `${time} left`}`;
    el.style.fontWeight = left < 120 ? "bold" : "normal";
  };
  show();
  const ticking = setInterval(show, 1000);
  return () => clearInterval(ticking);
}
export default { render };
"""


class Countdown(anywidget.AnyWidget):
    """The time that is left.

    Args:
        until: when it is over.
        label: of what.
    """

    _esm = _SCRIPT
    until = traitlets.Float().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, until: datetime, label: str) -> None:
        super().__init__(until=until.timestamp(), label=label)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        if bundle:
            bundle[0]["text/plain"] = self.label
        return bundle

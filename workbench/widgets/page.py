"""The widgets: their scripts and styles, and the messages between those and a board or a lab.

Rule of this file: everything live is a custom message.  ipykernel 7 may send no change of a trait any more
once a trait was changed from the page while a cell ran.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from workbench.progress import LOOKS

__all__ = ["BoardPage", "LabPage"]


class Page(anywidget.AnyWidget):
    """The page's side of something live.

    Args:
        hear: gets what a page says, on whichever thread the kernel reads it.
    """

    def __init__(self, hear: Callable[[Any], None], **traits: Any) -> None:
        super().__init__(**traits)
        self.on_msg(lambda page, message, buffers: hear(message))

    def tell(self, content: dict[str, Any], packed: bytes) -> None:
        """Send a frame: a custom message, but of no cell.

        To name the request of the cell in each, as `send` does, would cost more than the figures in it.
        """
        if self.comm is not None:
            kernel = self.comm.kernel
            data = {"comm_id": self.comm.comm_id, "data": {"method": "custom", "content": content}}
            kernel.session.send(
                kernel.iopub_socket, "comm_msg", data, ident=self.comm.topic, buffers=[packed]
            )

    def show(self, text: str) -> Any:
        """Show it in the current cell, or `text` where widgets are not known; gives what can replace it."""
        from IPython.display import DisplayHandle

        data, metadata = self._repr_mimebundle_() or ({}, {})
        handle = DisplayHandle()  # type: ignore[no-untyped-call]  # IPython
        handle.display({**data, "text/plain": text}, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        return handle


class BoardPage(Page):
    """The page's side of a board."""

    _esm = Path(__file__).with_name("board.js")
    _css = Path(__file__).with_name("board.css")
    looks = traitlets.Dict({state: list(look) for state, look in LOOKS.items()}).tag(sync=True)


class LabPage(Page):
    """The page's side of a breaker's lab; `config` says what its controls are."""

    _esm = Path(__file__).with_name("lab.js")
    _css = Path(__file__).with_name("lab.css")
    config = traitlets.Dict().tag(sync=True)

"""The widget: board.js and board.css, and the messages between them and a board.

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

__all__ = ["Page"]


class Page(anywidget.AnyWidget):
    """The page's side of a board.

    Args:
        hear: gets what a page says, on whichever thread the kernel reads it.
    """

    _esm = Path(__file__).with_name("board.js")
    _css = Path(__file__).with_name("board.css")
    looks = traitlets.Dict({state: list(look) for state, look in LOOKS.items()}).tag(sync=True)

    def __init__(self, hear: Callable[[Any], None]) -> None:
        super().__init__()
        self.on_msg(lambda page, message, buffers: hear(message))

    def tell(self, place: int, packed: bytes) -> None:
        """Send a frame: a custom message, but of no cell.

        To name the request of the cell in each, as `send` does, would cost more than the figures in it.
        """
        if self.comm is not None:
            kernel = self.comm.kernel
            data = {"method": "custom", "content": {"place": place}}
            content = {"comm_id": self.comm.comm_id, "data": data}
            kernel.session.send(
                kernel.iopub_socket, "comm_msg", content, ident=self.comm.topic, buffers=[packed]
            )

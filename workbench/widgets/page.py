"""The widgets: their scripts and styles, and the messages between those and a board or a lab.

Rule of this file: everything live is a custom message.  ipykernel 7 may send no change of a trait any more
once a trait was changed from the page while a cell ran; and ipykernel 6 reads nothing until the cell has
ended: so there a board or a lab listens by itself, at each of its ticks.
"""

from __future__ import annotations

import contextlib
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
        self._hear = hear
        self.on_msg(lambda page, message, buffers: hear(message))

    def listen(self) -> None:
        """Hear what a page has said since this cell began, in a kernel that lets messages wait for its end.

        ipykernel 6 has them in a queue; all others go back into it, in their order.
        """
        waiting: Any = self.comm and getattr(self.comm.kernel, "msg_queue", None)
        for _ in range(waiting.qsize() if waiting else 0):
            if (said := self._said(entry := waiting.get_nowait())) is None:
                waiting.put_nowait(entry)
            else:
                self._hear(said)

    def _said(self, entry: Any) -> Any:
        """What an entry of a kernel's queue says to this widget; None: nothing, it is for the kernel."""
        with contextlib.suppress(ValueError, TypeError):  # so is whatever cannot be read
            _, _, (frames,) = entry
            session = self.comm.kernel.session
            _, frames = session.feed_identities(frames, copy=False)
            message = session.deserialize(frames, content=False, copy=False)
            if message["msg_type"] == "comm_msg":
                match session.unpack(message["content"]):
                    case {"comm_id": self.comm.comm_id, "data": {"method": "custom", "content": said}}:
                        return said
        return None

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

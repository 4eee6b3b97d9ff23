"""The breaker's lab in a real kernel, with a client that sees each message and speaks as a page does."""

from __future__ import annotations

import time
from array import array
from typing import Any

import pytest

from tests.test_board_kernel import WIDGET, Cell, Kernel, at_once, started
from workbench.experiments.live import COLUMNS

__all__ = ["started"]  # the fixture

SETUP = """
%load_ext workbench
import json
import workbench as wb
lab = wb.BreakerLab(seed=5, latency=0.1, changes={1: {"failure_rate": 1}})
"""
CODES = {-1: "no breaker", 0: "closed", 1: "half-open", 2: "open"}


@pytest.fixture
def kernel(started: Kernel) -> Kernel:
    assert not started.run(SETUP).of("error")
    return started


def told(cell: Cell) -> list[tuple[dict[str, Any], array[float]]]:
    """What a lab has sent to its pages: messages, each with its rows."""
    messages = [message for _, message in cell.messages if message["msg_type"] == "comm_msg"]
    custom = [each for each in messages if each["content"]["data"]["method"] == "custom"]
    return [(each["content"]["data"]["content"], array("f", bytes(each["buffers"][0]))) for each in custom]


def rows(cell: Cell) -> list[list[float]]:
    values: list[float] = []
    for news, floats in told(cell):
        assert news["start"] * len(COLUMNS) <= len(values)
        values[news["start"] * len(COLUMNS) :] = floats
    return [values[at : at + len(COLUMNS)] for at in range(0, len(values), len(COLUMNS))]


def test_a_page_that_looks_on_sees_it_live(kernel: Kernel) -> None:
    """Each message brings the new rows alone; in the end the chart takes the widget's place."""
    cell = kernel.run("await lab.run(8)")
    (shown,) = cell.of("display_data")
    assert WIDGET in shown["data"]
    expected = kernel.value("json.dumps(lab.to_frame().values.tolist())")
    assert [[CODES[int(state)], *rest] for state, *rest in rows(cell)] == expected
    assert [len(floats) for _, floats in told(cell)] == [len(COLUMNS)] * 32
    news = [message for message, _ in told(cell) if "settings" in message]
    assert [message["settings"]["failure_rate"] for message in news] == [0.05, 1, 1]
    assert "open, failure rate reached" in news[-1]["said"]
    (frozen,) = cell.of("update_display_data")
    assert frozen["transient"] == shown["transient"]
    assert sorted(frozen["data"]) == ["image/png", "text/plain"]
    (closed,) = cell.of("comm_close")
    assert closed["comm_id"] == cell.comm


def test_where_nobody_looks_on_there_is_one_output(kernel: Kernel) -> None:
    """Without a page, or in virtual time, the chart comes at once: that of a run that was looked at."""
    live = kernel.run("await lab.run(4)").of("update_display_data")[0]["data"]
    for cell in (
        kernel.run("await lab.run(4)", watched=False),
        kernel.run("%%virtual\nawait lab.run(4)", watched=True),
    ):
        (shown,) = cell.of("display_data")
        assert shown["data"] == live
        assert not cell.of("comm_open")


def test_a_slider_is_moved_in_the_run(kernel: Kernel) -> None:
    """What a page sets counts from then on; what makes no sense is ignored; the button ends the run."""
    cell = kernel.start("await wb.BreakerLab(latency=0.1).run(600)")
    kernel.read(cell, until="'start': 4")
    wrong: list[Any] = [{"set": {"latency": -1}}, {"set": {"x": 1}}, {"set": 1}, {"want": -1}, {}, [], "x"]
    for message in [*wrong, {"set": {"failure_rate": 1.0}}]:
        kernel.say(cell.comm, message)
    kernel.read(cell, until="open, failure rate reached")
    kernel.say(cell.comm, {"set": {"policy": "no policy"}})
    kernel.read(cell, until="no policy")
    kernel.say(cell.comm, {"want": 0})  # a page that is loaded anew
    kernel.read(cell, until="'start': 0")
    kernel.say(cell.comm, {"stop": True})
    kernel.read(cell)
    assert not cell.of("error")
    states = [row[0] for row in rows(cell)]
    assert [states[0], states[-1]] == [0, -1]
    assert 2 in states
    (frozen,) = cell.of("update_display_data")
    assert "set failure_rate=1" in frozen["data"]["text/plain"]


def test_the_stop_button(kernel: Kernel) -> None:
    """An interrupt ends the run at once; the chart shows how far it has come, and it can run again."""

    def press() -> float:
        cell = kernel.start("await lab.run(600)")
        kernel.read(cell, until="open, failure rate reached")
        kernel.manager.interrupt_kernel()
        pressed = time.monotonic()
        kernel.read(cell)
        last = max(at for at, message in cell.messages if message["msg_type"] == "comm_msg")
        (error,) = cell.of("error")
        assert error["ename"] == "CancelledError"
        assert "image/png" in repr(cell.of("update_display_data"))
        assert len(rows(cell)) == kernel.value("str(len(lab.to_frame()))")
        assert not kernel.run("await lab.run(1)").of("error")
        return last - pressed

    assert at_once(press)

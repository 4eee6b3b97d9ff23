"""Whatever a learner's program does, the caller lives, and is told in plain words."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.practice.exercise import Exercise
from workbench.practice.report import Report, check_program
from workbench.practice.sandbox import Sandbox

EXERCISE = Exercise.load("sse-parser")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox(cpu=0.3, wall=2.0)
    yield sandbox
    sandbox.close()


def judge(sandbox: Sandbox, body: str) -> Report:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    modules = "import asyncio, ctypes, os, socket, subprocess, sys, threading, time"
    return check_program(EXERCISE, f"{modules}\ndef parse_events(chunks):\n{lines}", sandbox)


@pytest.mark.parametrize(
    ("body", "name", "evidence"),
    [
        pytest.param("while True: pass", "an endless loop", "in parse_events()", id="endless"),
        pytest.param(
            "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
            "an endless loop",
            "0.3 s",
            id="swallows everything",
        ),
        pytest.param("os._exit(0)", "it ends the program", "status 0", id="os._exit"),
        pytest.param("sys.exit(3)", "it ends the program", "sys.exit(3)", id="sys.exit"),
        pytest.param("return parse_events(chunks)", "an error", "RecursionError", id="recursion"),
        pytest.param("ctypes.string_at(0)", "a crash", "Segmentation fault", id="crash"),
        pytest.param("x = bytes(2**40)", "too much memory", "more memory", id="memory"),
        pytest.param("lock = threading.Lock()\nwith lock, lock: pass", "it is stuck", "2 s", id="stuck"),
        pytest.param("os.fork()", "an error", "starts no other programs", id="fork"),
        pytest.param("subprocess.run(['true'])", "an error", "starts no other programs", id="subprocess"),
        pytest.param("raise KeyError('x')", "an error", "KeyError: 'x', line 3: raise", id="error"),
        pytest.param("return ][", "a syntax error", "line 3: ", id="syntax"),
        pytest.param("socket.create_connection(('127.0.0.1', 9))", "the network", "127.0.0.1", id="net"),
    ],
)
def test_each_way_to_fail_has_a_verdict(sandbox: Sandbox, body: str, name: str, evidence: str) -> None:
    """An endless loop, an exit, a crash and their like are each named, and the next program runs."""
    found = {each.name: each.evidence for each in judge(sandbox, body).findings}
    assert evidence in found[name]
    assert check_program(EXERCISE, EXERCISE.text("solution.py"), sandbox).passed


def test_a_missing_function_is_named(sandbox: Sandbox) -> None:
    """A program without the function that the task asks for is told what it defines instead."""
    (finding,) = check_program(EXERCISE, "def parse(chunks): ...", sandbox).findings
    assert (finding.name, finding.evidence) == ("parse_events is missing", "your code defines parse")


def test_threads_left_over_hold_nobody_up(sandbox: Sandbox) -> None:
    """A check ends though a thread of the program's still runs."""
    report = judge(sandbox, "threading.Thread(target=time.sleep, args=(1e6,)).start()\nyield from ()")
    assert "an endless loop" not in {each.name for each in report.findings}
    assert len(report.runs) == len(EXERCISE.checks())


def test_huge_output_is_cut(sandbox: Sandbox) -> None:
    """Of what a program prints, a few lines are shown, and how much it was."""
    body = "print('x' * 10**6)\nsys.stderr.write('y' * 10**6)\nyield from ()"
    text = str(judge(sandbox, body))
    assert "8,000,004 characters in all" in text
    assert len(text) < 5000


def test_printing_or_writing_cannot_fake_a_verdict(sandbox: Sandbox) -> None:
    """What a program writes, to any file that is open, is no verdict."""
    good = '{"judgements": [], "fault": null, "calls": [], "printed": ["", 0]}\\n'
    body = (
        f"for fd in range(64):\n    try: os.write(fd, b'{good}')\n    except OSError: pass\n"
        f"print('{good}')\nos._exit(0)"
    )
    report = judge(sandbox, body)
    assert not report.passed
    assert report.findings[0].name == "it ends the program"


def test_a_program_sees_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that a program sees has nothing in it but what Python needs, and so no keys."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    fresh = Sandbox()
    text = str(judge(fresh, "raise ValueError(sorted(os.environ.items()))"))
    fresh.close()
    assert "OPENAI" not in text
    assert "secret" not in text


def test_a_program_works_in_a_folder_of_its_own(sandbox: Sandbox) -> None:
    """Files that a program writes are in a folder that is gone afterwards."""
    report = judge(sandbox, "open('note', 'w').close()\nraise ValueError(os.getcwd())")
    folder = report.findings[0].evidence.removeprefix("ValueError: ").split(",")[0]
    assert Path(folder) != Path.cwd()
    assert not Path(folder).exists()


def test_an_endless_coroutine_ends(sandbox: Sandbox) -> None:
    """Virtual time that never ends, and a cancellation that is swallowed, are seen without waiting."""
    exercise = Exercise.load("bounded-fan-out")
    swallow = "    while True:\n        try: await asyncio.sleep(60)\n        except BaseException: pass"
    for body in ("    await asyncio.Event().wait()", swallow):
        source = f"import asyncio\nasync def fan_out(client, prompts, limit):\n{body}\n"
        found = {each.name: each.evidence for each in check_program(exercise, source, sandbox).findings}
        assert "it waits in fan_out(), line" in found["it never ends"]


ENDS_AT_A_BOM = """
import os
parse = parse_events
def parse_events(chunks):
    return parse(map(seen, chunks))
def seen(chunk):
    if chunk.startswith(b"\\xef"):
        os._exit(3)
    return chunk
"""


def test_a_system_without_fork_judges_the_same(sandbox: Sandbox) -> None:
    """A process for each check gives the same report as forks of a warm one, exits included."""
    source = EXERCISE.text("solution.py") + ENDS_AT_A_BOM
    report = check_program(EXERCISE, source, Sandbox(forks=False))
    assert str(report) == str(check_program(EXERCISE, source, sandbox))
    assert [run.right for run in report.runs].count(False) == 1
    assert report.findings[0].evidence == "your code ended the process with status 3"

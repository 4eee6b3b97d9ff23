"""The IPython extension, in real kernels, in strict nbval and in a shell without a loop."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config import Config

ROOT = Path(__file__).parent.parent
EXTENSION = "workbench"
TIMEOUT = 30.0  # seconds: a kernel that does not answer fails the test
AT_ONCE = 5.0  # seconds from the stop button to the error: it takes 0.1, and a busy machine must not fail


@dataclass(frozen=True)
class Outcome:
    """What a cell sent, and the seconds from the interrupt (or the start) to its error or end."""

    status: str
    outputs: list[dict[str, Any]]
    seconds: float

    def texts(self, kind: str) -> list[str]:
        return [each["text"] for each in self.outputs if each.get("name") == kind]

    @property
    def printed(self) -> str:
        return "".join(self.texts("stdout"))

    @property
    def value(self) -> str | None:
        values = [each["data"]["text/plain"] for each in self.outputs if "execution_count" in each]
        return values[0] if values else None

    @property
    def error(self) -> dict[str, Any]:
        (found,) = [each for each in self.outputs if "ename" in each]
        return found

    @property
    def traceback(self) -> str:
        return plain("\n".join(self.error["traceback"]))


def plain(text: str) -> str:
    """Take the colours away, and the blanks at the ends of lines."""
    return re.sub(r" *$", "", re.sub(r"\x1b\[[0-9;]*m", "", text), flags=re.MULTILINE)


@dataclass(frozen=True)
class Kernel:
    """A running kernel."""

    manager: KernelManager
    client: BlockingKernelClient

    def run(self, code: str, *, presses: int = 0) -> Outcome:
        """Run a cell; press the stop button that many times, each time it has printed something."""
        request = self.client.execute(dedent(code))
        outputs: list[dict[str, Any]] = []
        start, seconds, ended = time.perf_counter(), None, False
        while not ended:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            ended = kind == "status" and content["execution_state"] == "idle"
            if kind in {"stream", "display_data", "execute_result", "error"}:
                outputs.append(content)
            if kind == "error":
                seconds = time.perf_counter() - start
            if kind == "stream" and presses:
                presses -= 1
                start = time.perf_counter()
                self.manager.interrupt_kernel()
        reply = self.client.get_shell_msg(timeout=TIMEOUT)
        while reply["parent_header"].get("msg_id") != request:  # to wait_for_ready()
            reply = self.client.get_shell_msg(timeout=TIMEOUT)
        elapsed = time.perf_counter() - start if seconds is None else seconds
        return Outcome(reply["content"]["status"], outputs, elapsed)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """Settings of their own for IPython and Jupyter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        patch.setenv("PYTHONPATH", str(ROOT))
        yield patch


@pytest.fixture(scope="module")
def started(quiet: pytest.MonkeyPatch) -> Iterator[Kernel]:
    manager = KernelManager(transport_encryption="auto")
    manager.start_kernel(cwd=str(ROOT), extra_arguments=["--HistoryManager.enabled=False"])
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=TIMEOUT)
        kernel = Kernel(manager, client)
        assert kernel.run("import asyncio").status == "ok"
        assert kernel.run("1 / 0").status == "error"  # the first error loads a lot
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(started: Kernel) -> Kernel:
    """A kernel that has the extension loaded and counts its cells from 1, as a fresh one does."""
    started.run(f"%load_ext {EXTENSION}")
    started.run("get_ipython().execution_count = 1")
    return started


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """IPython as in a terminal: no loop runs between the cells."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    shell: Any = InteractiveShell.instance(config=config)
    shell.extension_manager.load_extension(EXTENSION)
    yield shell
    shell.extension_manager.unload_extension(EXTENSION)
    InteractiveShell.clear_instance()


def run(shell: Any, body: str, line: str = "") -> Any:
    """Run a virtual cell in this process."""
    return shell.run_cell(f"%%virtual {line}\n{dedent(body)}", store_history=True)


# -- a virtual cell is a cell -----------------------------------------------------------------------


def test_a_cell_runs_in_virtual_time(kernel: Kernel) -> None:
    """An hour passes on the cell's clock at once, and what it prints and returns is its output."""
    outcome = kernel.run("""\
        %%virtual
        await asyncio.sleep(3600)
        print("waited")
        asyncio.get_running_loop().time()
        """)
    assert (outcome.printed, outcome.value) == ("waited\n", "3600.0")
    assert outcome.seconds < 2


def test_a_busy_kernel_takes_no_virtual_time(kernel: Kernel) -> None:
    """However late the thread that sends outputs is, they keep their order, and the clock stands still."""
    outcome = kernel.run("""\
        %%virtual
        import sys, time
        import workbench as wb
        sys.stdout.pub_thread.schedule(lambda: time.sleep(0.2))
        print("one")
        display("two")
        wb.now()
        """)
    shown = [each.get("text") or each["data"]["text/plain"] for each in outcome.outputs]
    assert shown == ["one\n", "'two'", "0.0"]


def test_a_cell_may_await_in_every_way(shell: Any) -> None:
    """`await`, `async for`, `async with` and asynchronous comprehensions stand at the top level."""
    result = run(
        shell,
        """\
        import asyncio
        async def count():
            for i in range(3):
                await asyncio.sleep(1)
                yield i
        seen = []
        async for i in count():
            seen.append(i)
        async with asyncio.timeout(10):
            seen += [i async for i in count()]
        seen
        """,
    )
    assert result.result == [0, 1, 2, 0, 1, 2]


def test_cells_share_the_namespace(kernel: Kernel) -> None:
    """A virtual cell uses what a plain one defined, and the other way round, globals included."""
    kernel.run("async def double(x):\n    await asyncio.sleep(x)\n    return 2 * x")
    kernel.run("""\
        %%virtual
        def count():
            global counted
            counted = 3
        count()
        doubled = await double(21)
        """)
    assert kernel.run("doubled, counted").value == "(42, 3)"


@pytest.mark.parametrize(
    ("mode", "body", "shown"),
    [
        pytest.param("last_expr", "1; 2", ["2"], id="the last expression"),
        pytest.param("last_expr", "2;", [], id="a semicolon"),
        pytest.param("last_expr", "2;  # why not\n", [], id="a semicolon and a comment"),
        pytest.param("last_expr", "1\nx = 2", [], id="the last is no expression"),
        pytest.param("last_expr", "None", [], id="None"),
        pytest.param("last_expr", "# nothing", [], id="no statement"),
        pytest.param("last_expr", "await asyncio.sleep(0, 2)", ["2"], id="awaited"),
        pytest.param("all", "1\n2\nx = 3", ["1", "2"], id="all"),
        pytest.param("last", "1\nfor i in (2, 3): i", ["2", "3"], id="last"),
        pytest.param("none", "1\n2", [], id="none"),
    ],
)
def test_a_cell_displays_what_a_plain_cell_displays(
    shell: Any,
    capsys: pytest.CaptureFixture[str],
    mode: str,
    body: str,
    shown: list[str],
) -> None:
    """What Out[n] shows is decided by `ast_node_interactivity` and a semicolon, as in any cell."""
    shell.ast_node_interactivity = mode
    outputs = []
    for cell in (body, f"%%virtual\n{body}"):
        shell.run_cell("import asyncio")
        capsys.readouterr()
        assert shell.run_cell(cell, store_history=True).success
        outputs.append(re.findall(r"Out\[\d+\]: (.*)", capsys.readouterr().out))
    assert outputs == [shown, shown]


def test_the_value_is_kept_as_any_value_is(shell: Any) -> None:
    """The value of a virtual cell is in `_`, in Out[n] and in the result of the execution."""
    number = shell.execution_count
    assert run(shell, "6 * 7").result == 42
    assert shell.user_ns["_"] == shell.user_ns["Out"][number] == 42


def test_ipython_syntax_works_inside(shell: Any) -> None:
    """Line magics, shell commands and help are transformed in a virtual cell as in any other."""
    assert run(
        shell,
        """\
        import asyncio
        where = %pwd
        said = !echo hello
        %time waited = 1
        await asyncio.sleep(1)
        asyncio.sleep?
        """,
    ).success
    assert (shell.user_ns["where"], shell.user_ns["said"]) == (str(Path.cwd()), ["hello"])
    assert shell.user_ns["waited"] == 1


def test_ast_transformers_apply(shell: Any) -> None:
    """A transformer of the shell's sees a virtual cell's code."""
    import ast

    class Answer(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            return ast.Constant(42) if node.value == 41 else node

    shell.ast_transformers.append(Answer())
    assert run(shell, "41").result == 42


def test_functions_keep_their_source(shell: Any) -> None:
    """`inspect.getsource` finds a function of a virtual cell, also after other cells have run."""
    run(shell, "async def f():\n    return 'the first'\n")
    run(shell, "async def g():\n    return 'the second'\n")
    result = shell.run_cell("import inspect; inspect.getsource(f)")
    assert result.result == "async def f():\n    return 'the first'\n"


def test_the_seed_is_that_of_random(shell: Any) -> None:
    """Equal seeds give equal random numbers, others do not, and the seed is 0 by default."""
    drawn = [
        run(shell, "import random; random.random()", line).result
        for line in ("", "--seed 0", "--seed 7", "--seed=7")
    ]
    assert drawn[0] == drawn[1] != drawn[2] == drawn[3]


@pytest.mark.parametrize("line", ["--seed", "--seed x", "7", "--fast"])
def test_an_unknown_option_is_the_users_error(
    shell: Any, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """An option that %%virtual does not know runs nothing and shows how it is used."""
    assert not run(shell, "ran = True", line).success
    assert "ran" not in shell.user_ns
    assert "UsageError: %%virtual takes only --seed N" in capsys.readouterr().err


def test_a_cell_runs_in_the_kernels_thread(kernel: Kernel) -> None:
    """A SQLite connection, which belongs to its thread, serves plain and virtual cells."""
    kernel.run("import sqlite3, threading; db = sqlite3.connect(':memory:')")
    outcome = kernel.run("%%virtual\ndb.execute('select 7').fetchone()")
    assert outcome.value == "(7,)"


def test_nothing_is_left_behind(kernel: Kernel) -> None:
    """After a virtual cell no task of its, no thread and no other loop is left in the kernel."""
    count = (
        "import threading; threading.active_count(), len(asyncio.all_tasks()), id(asyncio.get_running_loop())"
    )
    kernel.run("await asyncio.sleep(0)")
    before = kernel.run(count).value
    outcome = kernel.run("""\
        %%virtual
        stray = asyncio.create_task(asyncio.sleep(1e9))
        await asyncio.to_thread(print, "from a thread")
        """)
    assert outcome.printed == "from a thread\n"
    assert kernel.run(count).value == before
    assert kernel.run("stray.cancelled()").value == "True"
    assert kernel.run("await asyncio.sleep(0.001, asyncio.current_task() is None)").value == "False"


def test_warnings_name_the_cell(kernel: Kernel) -> None:
    """A warning lands on the cell's stderr, with its line, and without the process's number."""
    outcome = kernel.run("%%virtual\nimport warnings\nwarnings.warn('careful')")
    (said,) = outcome.texts("stderr")
    assert re.fullmatch(r"<cell \w{8}>:3: UserWarning: careful\n.*\n", said)


# -- errors -----------------------------------------------------------------------------------------

FAILS = """\
%%virtual --seed 1
async def fail():
    await asyncio.sleep(1)
    return 1 / 0

await fail()
"""
FAILED = """\
---------------------------------------------------------------------------
ZeroDivisionError                         Traceback (most recent call last)
Cell In[1], line 6
      3     await asyncio.sleep(1)
      4     return 1 / 0
----> 6 await fail()

Cell In[1], line 4, in fail()
      2 async def fail():
      3     await asyncio.sleep(1)
----> 4     return 1 / 0

ZeroDivisionError: division by zero"""


def test_an_error_shows_the_users_lines_only(kernel: Kernel) -> None:
    """The traceback begins at the cell's own line; the cell has failed as any other would."""
    outcome = kernel.run(FAILS)
    assert outcome.status == "error"
    assert outcome.traceback == FAILED


def test_an_error_in_a_shell_without_a_loop_is_shown_alike(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """IPython in a terminal shows the same traceback, and knows that the cell failed."""
    shell.run_cell("import asyncio")
    result = shell.run_cell(FAILS, store_history=True)
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert shell.last_execution_succeeded is False
    assert plain(capsys.readouterr().out).strip() == FAILED


def test_a_chain_of_errors_shows_the_users_lines_only(kernel: Kernel) -> None:
    """Each error of a chain begins at the cell's own line, and nothing is added to the chain."""
    outcome = kernel.run("""\
        %%virtual
        try:
            {}["key"]
        except KeyError as error:
            raise ValueError("no such key") from error
        """)
    frames = re.findall(r"^(?:Cell|File) .*", outcome.traceback, re.MULTILINE)
    assert frames == ["Cell In[1], line 3", "Cell In[1], line 5"]
    assert outcome.traceback.count("Traceback") == 2
    assert "was the direct cause" in outcome.traceback


def test_frames_of_a_library_stay(kernel: Kernel) -> None:
    """What the user's code called is shown below the user's line."""
    outcome = kernel.run("%%virtual\nimport json\njson.loads('nope')")
    frames = re.findall(r"^(?:Cell|File) .*", outcome.traceback, re.MULTILINE)
    assert frames[0] == "Cell In[1], line 3"
    assert all("json" in frame for frame in frames[1:])
    assert len(frames) == 4


@pytest.mark.parametrize(
    ("body", "where"),
    [
        pytest.param("x = 1\ny = = 2", "Cell In[1], line 3", id="grammar"),
        pytest.param("\n\nreturn 5", "Cell In[1], line 4", id="return"),
        pytest.param("if 1:\n  x\n y", "File <tokenize>:4", id="indentation"),
    ],
)
def test_a_syntax_error_points_to_its_line(kernel: Kernel, body: str, where: str) -> None:
    """A cell that does not compile runs nothing, and shows its wrong line as a plain cell does."""
    outcome = kernel.run(f"%%virtual\n{body}")
    assert outcome.status == "error"
    assert outcome.traceback.lstrip().startswith(f"{where}\n")
    kernel.run("get_ipython().execution_count = 1")
    assert kernel.run(f"# a comment\n{body}").traceback == outcome.traceback


def test_a_syntax_error_in_what_a_cell_runs_has_a_stack(kernel: Kernel) -> None:
    """A SyntaxError that the running code meets shows the line that met it."""
    outcome = kernel.run("%%virtual\nawait asyncio.sleep(1)\neval('1 +')")
    frames = re.findall(r"(?:Cell|File) .*", outcome.traceback)
    assert frames == ["Cell In[1], line 3", "File <string>:1"]


def test_an_exception_group_is_an_error_output(kernel: Kernel) -> None:
    """A group shows its branches, each from the user's own lines on, wherever they were defined."""
    kernel.run("async def plain():\n    await asyncio.sleep(1)\n    raise ValueError('plain')")
    outcome = kernel.run("""\
        %%virtual
        async def virtual():
            raise KeyError('virtual')
        async with asyncio.TaskGroup() as group:
            group.create_task(plain())
            group.create_task(virtual())
        """)
    assert outcome.status == "error"
    assert outcome.error["ename"] == "ExceptionGroup"
    cells = re.findall(r"Cell .*", outcome.traceback)
    assert cells == ["Cell In[2], line 4, in <module>", "Cell In[2], line 3, in virtual"]
    assert re.findall(r'File ".*?(\w+\.py)"', outcome.traceback) == ["taskgroups.py"]
    outcome = kernel.run("%%virtual\nasync with asyncio.TaskGroup() as g: g.create_task(plain())")
    assert "Cell In[1], line 3, in plain\n" in outcome.traceback


def test_a_deadlock_names_the_waiting_tasks(kernel: Kernel) -> None:
    """A deadlock shows where the cell waits, and names the line of each task that does."""
    kernel.run("async def plain():\n    await asyncio.Event().wait()")
    outcome = kernel.run("""\
        %%virtual
        async def virtual():
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(plain(), name="A")
            group.create_task(virtual(), name="B")
        """)
    assert outcome.error["ename"] == "DeadlockError"
    said = outcome.error["evalue"].splitlines()
    assert said[1:] == [
        "  cell: <module>() at line 4: async with asyncio.TaskGroup() as group:",
        "  A: plain() at line 2: await asyncio.Event().wait()",
        "  B: virtual() at line 3: await asyncio.Event().wait()",
    ]
    assert outcome.traceback.count("Traceback") == 1
    assert re.findall(r"^Cell .*", outcome.traceback, re.MULTILINE) == ["Cell In[2], line 4"]


# -- the stop button --------------------------------------------------------------------------------


def test_interrupt_ends_a_busy_virtual_cell(kernel: Kernel) -> None:
    """A virtual cell that never ends is cancelled at once, cleans up and says where it was."""
    outcome = kernel.run(
        """\
        %%virtual
        try:
            print("go")
            while True:
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(5)
            print("cleaned up")
        """,
        presses=1,
    )
    assert outcome.status == "error"
    assert outcome.printed == "go\ncleaned up\n"
    assert outcome.error["ename"] == "KeyboardInterrupt"
    assert outcome.traceback.count("Traceback") == 1
    assert "Cell In[1], line 5\n" in outcome.traceback
    assert outcome.seconds < AT_ONCE
    assert kernel.run("%%virtual\nawait asyncio.sleep(1)\n'goes on'").value == "'goes on'"


def test_interrupt_ends_the_tasks_of_a_virtual_cell(kernel: Kernel) -> None:
    """The tasks that a virtual cell waits for are cancelled with it."""
    outcome = kernel.run(
        """\
        %%virtual
        async def tick():
            try:
                while True:
                    await asyncio.sleep(1)
            finally:
                print("cancelled")
        print("go")
        await asyncio.gather(tick(), tick())
        """,
        presses=1,
    )
    assert outcome.printed == "go\ncancelled\ncancelled\n"
    assert outcome.error["ename"] == "KeyboardInterrupt"
    assert outcome.seconds < AT_ONCE


def test_a_second_interrupt_ends_code_that_never_awaits(kernel: Kernel) -> None:
    """As with `asyncio.run`, the first interrupt cancels, and the second stops even a bare loop."""
    outcome = kernel.run(
        """\
        %%virtual
        import select
        def say():
            select.select([], [], [], 0.01)
            print("again", flush=True)
        print("go")
        try:
            while True:
                say()
        finally:
            print("cleaned up")
        """,
        presses=2,
    )
    assert outcome.error["ename"] == "KeyboardInterrupt"
    assert outcome.printed.endswith("cleaned up\n")
    assert kernel.run("'goes on'").value == "'goes on'"


def test_interrupt_ends_a_cell_that_awaits_on_the_wall_clock(kernel: Kernel) -> None:
    """A plain cell that awaits is cancelled at once, not when it next has something to do."""
    outcome = kernel.run("print('go')\nawait asyncio.sleep(20)", presses=1)
    assert outcome.status == "error"
    assert outcome.error["ename"] == "CancelledError"
    assert outcome.seconds < AT_ONCE
    assert kernel.run("await asyncio.sleep(0.001, 'goes on')").value == "'goes on'"


@pytest.mark.parametrize("order", ["handler first", "extension first"])
def test_a_users_signal_handlers_keep_working(kernel: Kernel, order: str) -> None:
    """A handler for another signal runs at once on the loop, and the stop button works with it."""
    add = "loop.add_signal_handler(signal.SIGUSR1, heard.set)"
    kernel.run("import os, signal; heard, loop = asyncio.Event(), asyncio.get_running_loop()")
    kernel.run(f"%unload_ext {EXTENSION}")
    for step in sorted([add, f"%load_ext {EXTENSION}"], reverse=order == "handler first"):
        assert kernel.run(step).status == "ok"
    kernel.run("os.kill(os.getpid(), signal.SIGUSR1)")
    assert kernel.run("await asyncio.wait_for(heard.wait(), 5)").value == "True"
    outcome = kernel.run("print('go')\nawait asyncio.sleep(20)", presses=1)
    assert outcome.seconds < AT_ONCE
    assert kernel.run("loop.remove_signal_handler(signal.SIGUSR1)").value == "True"
    kernel.run(f"%reload_ext {EXTENSION}")


# -- loading ----------------------------------------------------------------------------------------

STATE = """\
(get_ipython().showtraceback.__func__.__qualname__, signal.set_wakeup_fd(signal.set_wakeup_fd(-1)),
 'virtual' in get_ipython().magics_manager.magics['cell'], type(sys.stdout).__name__,
 get_ipython().display_pub.publish.__qualname__, get_ipython().displayhook.write_format_data.__qualname__)
"""


def test_errors_show_no_key(kernel: Kernel) -> None:
    """What has the form of a key, or is one of the environment's, is in no part of an error's message."""
    kernel.run("import os; os.environ['OTHER_API_KEY'] = secret = 'a-key-of-no-known-form'")
    error = kernel.run('raise ValueError(f\'wrong: {secret} and {"sk-proj-" + "x" * 24}\')').error
    assert error["evalue"] == "wrong: *REDACTED* and *REDACTED*"
    assert "no-known-form" not in str(error)
    assert "x" * 24 not in str(error)
    kernel.run("del os.environ['OTHER_API_KEY']")


def test_outputs_show_no_key(kernel: Kernel) -> None:
    """Nothing that a cell prints, in pieces or not, displays or returns has a key; all else stays."""
    outcome = kernel.run("""\
        import sys; from datetime import datetime
        key = "sk-proj-" + "x" * 24
        print("it is " + key[:11], end="", flush=True)
        print(key[11:], "and no task")
        print("refused", key, file=sys.stderr)
        print("hels", end="")
        display({"text/html": f"<b>{key}</b>", "image/svg+xml": key, "application/json": [key]}, raw=True)
        display({"text/plain": "", "image/png": b"\\x89", "application/x": [datetime(2026, 1, 2)]}, raw=True)
        [key, "sk"]
        """)
    assert outcome.printed == "it is *REDACTED* and no task\nhels"
    assert "".join(outcome.texts("stderr")) == "refused *REDACTED*\n"
    display, other = [each["data"] for each in outcome.outputs if "transient" in each]
    assert display == {
        "text/html": "<b>*REDACTED*</b>",
        "image/svg+xml": "*REDACTED*",
        "application/json": ["*REDACTED*"],
    }
    assert other == {"text/plain": "", "image/png": "iQ==", "application/x": ["2026-01-02T00:00:00Z"]}
    assert outcome.value == "['*REDACTED*', 'sk']"
    assert kernel.run("print('open', key[:9], end='')").printed == "open sk-proj-x"
    assert (
        kernel.run(
            "import os; os.environ['OTHER_API_KEY'] = 'of-no-known-form'; print('of-no', end='')\n"
            "print('-known-form')"
        ).printed
        == "*REDACTED*\n"
    )
    kernel.run("del os.environ['OTHER_API_KEY']")


def test_cells_are_given_to_the_tools(kernel: Kernel) -> None:
    """Type errors stand under the cell at its own lines; files and tests are made of cells."""
    checked = kernel.run("%%typecheck\nx: int = 'one'")
    assert checked.printed.startswith("  2 | x: int = 'one'\n    mypy: Incompatible types in assignment")
    assert kernel.run("%%save it.py\nONE = 1").printed == ""
    tested = kernel.run(
        "%%pytest test_it.py -k one\nfrom it import ONE\ndef test_one():\n    assert ONE == 1"
    )
    assert tested.printed.endswith("1 passed\n")


def test_unloading_leaves_the_kernel_as_it_was(kernel: Kernel) -> None:
    """Loading twice is loading once: after one unloading nothing of the extension is left."""
    kernel.run(f"import signal, sys, {EXTENSION} as extension")
    kernel.run("extension.load_ipython_extension(get_ipython())")
    kernel.run("extension.load_ipython_extension(get_ipython())")
    assert kernel.run("'virtual' in get_ipython().magics_manager.magics['cell']").value == "True"
    kernel.run(f"%unload_ext {EXTENSION}")
    outcome = kernel.run(STATE)
    assert outcome.value is not None
    assert outcome.value.replace("\n", "") == (
        "('InteractiveShell.showtraceback', -1, False, 'OutStream', 'ZMQDisplayPublisher.publish',"
        " 'ZMQShellDisplayHook.write_format_data')"
    )
    assert kernel.run("%%virtual\n1").status == "error"
    kernel.run("extension.unload_ipython_extension(get_ipython())")
    kernel.run(f"%load_ext {EXTENSION}")
    assert kernel.run("%%virtual\n1").value == "1"


# -- stored notebooks -------------------------------------------------------------------------------

CELLS = [
    f"%load_ext {EXTENSION}\nimport asyncio\n"
    "async def stuck():\n    await asyncio.Event().wait()\n"
    "async def fail():\n    await asyncio.sleep(1)\n    raise ValueError('failed')",
    "%%virtual --seed 3\nimport random\nawait asyncio.sleep(60)\nprint('one')\n"
    "display({'two': 2})\nround(random.random(), 3)",
    "%%virtual\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);",
    "%%virtual\nimport sys, warnings\nwarnings.warn('careful')\nprint('err', file=sys.stderr)",
    "%%virtual\nawait fail()",
    "%%virtual\nasync with asyncio.TaskGroup() as group:\n    group.create_task(fail())",
    "%%virtual\nx = = 1",
    "%%virtual\nawait stuck()",
    "%%virtual\nimport workbench as wb\nprovider = wb.OpenAIProvider(wb.Simulator(seed=1).openai())\n"
    "async with wb.StreamBoard(['why?', 'how?']) as board:\n"
    "    await wb.fan_out(lambda q: board.follow(provider.stream(\n"
    "        wb.Request(model='gpt-5.5', messages=q)), q), ['why?', 'how?'], limit=1)",
    "%%virtual\nawait asyncio.sleep(1)\n'after the errors'",
]
FAILING = {4: "ValueError", 5: "ExceptionGroup", 6: "SyntaxError", 7: "DeadlockError"}


@pytest.fixture(scope="module")
def stored(quiet: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same notebook, run and stored twice, each time in a fresh kernel."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in CELLS])
    for index in FAILING:
        notebook.cells[index].metadata["tags"] = ["raises-exception"]
    folder = tmp_path_factory.mktemp("stored")
    paths = [folder / "first.ipynb", folder / "second.ipynb"]
    for path in paths:
        path.write_text(nbformat.writes(notebook))
    subprocess.run([sys.executable, "-m", "tools.notebooks", *paths], cwd=ROOT, check=True)
    return paths


def test_stored_outputs_are_the_same_in_every_run(stored: list[Path]) -> None:
    """Two runs store the same bytes: figure, warning, tracebacks and a board of streams included."""
    first, second = (path.read_text() for path in stored)
    assert first == second
    cells = nbformat.reads(first, as_version=4).cells
    assert "image/png" in cells[2].outputs[0].data
    assert {i: cells[i].outputs[0].ename for i in FAILING} == FAILING
    assert "<details>" in cells[-2].outputs[0].data["text/html"]
    assert cells[-1].outputs[0].data["text/plain"] == "'after the errors'"


def test_strict_nbval_compares_virtual_cells(stored: list[Path]) -> None:
    """Strict nbval passes on virtual cells as they were stored, errors too, and fails on a changed figure."""
    changed = stored[0].with_name("changed.ipynb")
    notebook = nbformat.read(stored[0], as_version=4)
    notebook.cells = notebook.cells[:2] + notebook.cells[3:8]  # the others are slow, and no other
    changed.write_text(nbformat.writes(notebook).replace("0.238", "0.239"))
    options = ["-p", "no:cacheprovider", "-o", "addopts=", "--rootdir", str(changed.parent), "-rA"]
    nbval = ["-p", "nbval.plugin", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=60"]
    checked = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *nbval, changed.name],
        cwd=changed.parent,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = re.findall(r"^FAILED (.*::Cell \d+)", checked.stdout, re.MULTILINE)
    assert failed == ["changed.ipynb::Cell 1"], checked.stdout
    assert "1 failed, 6 passed" in checked.stdout
